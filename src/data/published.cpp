// SHA-256 sums of the files as their authors published them. The authors themselves give MD5 sums, if any
// (github.com/zalandoresearch/fashion-mnist, cs.toronto.edu/~kriz/cifar.html); SHA-256 sums of the same files
// are kept by, among others, TensorFlow Datasets, Nixpkgs (MNIST) and Red Datasets, which agree.
#include "src/data/published.h"

#include <algorithm>

#include "core/error.h"

namespace convoy {

const std::vector<PublishedSet>& published_sets() {
  static const std::vector<PublishedSet> sets = {
      {Source::mnist,
       "mnist",
       {"https://ossci-datasets.s3.amazonaws.com/mnist",
        "https://storage.googleapis.com/cvdf-datasets/mnist"},
       {{"train-images-idx3-ubyte.gz",
         "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
         {}},
        {"train-labels-idx1-ubyte.gz",
         "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
         {}},
        {"t10k-images-idx3-ubyte.gz", "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", {}},
        {"t10k-labels-idx1-ubyte.gz",
         "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
         {}}}},
      {Source::fashion_mnist,
       "fashion-mnist",
       {"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion"},
       {{"train-images-idx3-ubyte.gz",
         "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
         {}},
        {"train-labels-idx1-ubyte.gz",
         "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
         {}},
        {"t10k-images-idx3-ubyte.gz", "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", {}},
        {"t10k-labels-idx1-ubyte.gz",
         "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
         {}}}},
      {Source::cifar10,
       "cifar10",
       {"https://www.cs.toronto.edu/~kriz"},
       {{"cifar-10-binary.tar.gz",
         "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
         {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin",
          "test_batch.bin"}}}},
      {Source::cifar100,
       "cifar100",
       {"https://www.cs.toronto.edu/~kriz"},
       {{"cifar-100-binary.tar.gz",
         "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
         {"train.bin", "test.bin"}}}},
  };
  return sets;
}

std::string fetch_hint(Source source, const std::string& folder) {
  for (const PublishedSet& set : published_sets()) {
    if (set.source == source)
      return fmt::format(" (`convoy data fetch {} --output {}` gets them)", set.name, folder);
  }
  return {};
}

}  // namespace convoy
