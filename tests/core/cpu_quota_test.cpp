#include "core/cpu_quota.h"

#include <gtest/gtest.h>

namespace convoy {
namespace {

TEST(CpuQuota, IsWholeCoresAndAtLeastOne) {
  EXPECT_EQ(cores_of_quota("200000 100000"), 2);
  EXPECT_EQ(cores_of_quota("250000 100000"), 2);
  EXPECT_EQ(cores_of_quota("50000 100000"), 1);
}

TEST(CpuQuota, IsNoneWithoutALimit) {
  for (const char* text : {"max 100000", "-1 100000", "", " ", "2", "0 100000", "200000 0", "2e5 100000",
                           "99999999999999999999 1"})
    EXPECT_FALSE(cores_of_quota(text)) << text;
}

}  // namespace
}  // namespace convoy
