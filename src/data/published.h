// Data sets that `convoy data fetch` knows: where their files are and what they hold.
#pragma once

#include <string>
#include <vector>

#include "src/config/config.h"

namespace convoy {

struct PublishedFile {
  std::string name;
  std::string sha256;                 ///< of the file as it was published
  std::vector<std::string> unpacked;  ///< of an archive: its members that the reader wants
};

struct PublishedSet {
  Source source;
  std::string name;                  ///< also what data.source calls it
  std::vector<std::string> folders;  ///< of servers, each with all files
  std::vector<PublishedFile> files;
};

const std::vector<PublishedSet>& published_sets();

/// What to do when files of a source are missing: " (`convoy data fetch NAME --output DIR` gets them)". Empty
/// for a source that cannot be fetched.
std::string fetch_hint(Source source, const std::string& folder);

}  // namespace convoy
