#pragma once

/// Marks what libckl.so exports; everything else in it is hidden.
#if defined(CKL_STATIC)
#define CKL_API
#else
#define CKL_API __attribute__((visibility("default")))
#endif
