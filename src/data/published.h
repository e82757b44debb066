// Where a data set is published, for `convoy data fetch`.
//
// Sums in src/data/sets are SHA-256 sums of the files as their authors published them. The authors themselves
// give MD5 sums, if any (github.com/zalandoresearch/fashion-mnist, cs.toronto.edu/~kriz/cifar.html); SHA-256
// sums of the same files are kept by, among others, TensorFlow Datasets, Nixpkgs (MNIST) and Red Datasets,
// which agree.
#pragma once

#include <string>
#include <vector>

namespace convoy {

struct PublishedFile {
  std::string name;
  std::string sha256;                 ///< of the file as it was published
  std::vector<std::string> unpacked;  ///< of an archive: its members that the reader needs
};

struct Published {
  std::vector<std::string> folders;  ///< of servers, each with all files
  std::vector<PublishedFile> files;
};

}  // namespace convoy
