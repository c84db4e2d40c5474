#pragma once

// What the host and the kernels of this example share: plain C++.

/// Elements whose magnitude is above the threshold are outliers.
struct OutliersParams {
  float threshold;
};
