// The list of data sets, with what the configuration must know of each. How one is found and read stands in
// its file of this folder.
//
// To add a data set, write its line here and a file that defines sets::NAME(): an object of a class derived
// from DataSource (src/data/data_source.h). What is missing there does not compile, or does not link.
#pragma once

#include <cstddef>

namespace convoy {

/// How the images of a data set come about.
enum class SourceKind {
  drawn,     ///< by Convoy, from the seed
  loaded,    ///< from the files of a folder, all at once
  archive,   ///< from one file, all at once
  pictures,  ///< from a folder of picture files, each when a batch needs it
  packed,    ///< from one file, each when a batch needs it
};

// SET(its name in the code, its name in the configuration, its SourceKind, its help or "")
#define CONVOY_DATA_SETS(SET)                                                                            \
  SET(digits, "digits", drawn, "built in")                                                               \
  SET(shapes3d, "shapes3d", drawn, "solids, built in")                                                   \
  SET(mnist, "mnist", loaded, "")                                                                        \
  SET(fashion_mnist, "fashion-mnist", loaded, "")                                                        \
  SET(cifar10, "cifar10", loaded, "")                                                                    \
  SET(cifar100, "cifar100", loaded, "")                                                                  \
  SET(volumes, "volumes", archive, "pictures or volumes in a .npz file, named as MedMNIST names them")   \
  SET(synthetic, "synthetic", drawn, "noise")                                                            \
  SET(folder, "folder", pictures,                                                                        \
      "picture files as PATH/train/CLASS/*, PATH/val/CLASS/*, PATH/test/CLASS/* or all as PATH/CLASS/*") \
  SET(packed, "packed", packed, "what `convoy data pack` made of such a folder")

#define CONVOY_ENUMERATOR(id, name, kind, help) id,
#define CONVOY_FACTS(id, name, kind, help) {Source::id, name, SourceKind::kind, help},

enum class Source { CONVOY_DATA_SETS(CONVOY_ENUMERATOR) };

struct SourceFacts {
  Source source;
  const char* name;
  SourceKind kind;
  const char* help;
};
inline constexpr SourceFacts source_list[] = {CONVOY_DATA_SETS(CONVOY_FACTS)};

#undef CONVOY_ENUMERATOR
#undef CONVOY_FACTS

constexpr const SourceFacts& facts_of(Source source) {
  return source_list[static_cast<std::size_t>(source)];
}

/// Whether a source is read from files; the others are made from the seed.
constexpr bool has_files(Source source) {
  return facts_of(source).kind != SourceKind::drawn;
}

/// Whether the source is a folder of picture files.
constexpr bool has_pictures(Source source) {
  return facts_of(source).kind == SourceKind::pictures;
}

/// Whether data.path is one file, and not a folder.
constexpr bool path_is_file(Source source) {
  return facts_of(source).kind == SourceKind::packed || facts_of(source).kind == SourceKind::archive;
}

/// Whether a source's images are made when a batch needs them, in the size that the network takes, and so are
/// never resident.
constexpr bool is_streamed(Source source) {
  return has_pictures(source) || facts_of(source).kind == SourceKind::packed;
}

}  // namespace convoy
