#pragma once

// What the host and the kernels of this example share: plain C++.

/// Attention scores: large ones are capped softly, and row i sees columns 0 to i + visible - 1 only.
struct SoftcapParams {
  float cap;
  int visible;
};
