// The options of `convoy data`.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "src/cli/options.h"
#include "src/data/data_source.h"

namespace convoy {
namespace {

void add_data_pack(CLI::App& data, Action& action) {
  CLI::App* command =
      data.add_subcommand("pack",
                          "decode a folder of pictures (DIR/train/CLASS/*, DIR/val/CLASS/*, or DIR/CLASS/*) "
                          "once into one file, which data.source: packed reads at full speed");
  auto& arguments = arguments_of<DataPackArguments>(command, action);
  command->add_option("DIR", arguments.folder, "the folder of pictures")->required();
  command->add_option("OUT", arguments.output, "the file to write; it appears once it is complete")
      ->required();
  command
      ->add_option("--size", arguments.size,
                   "height and width of the images: the shorter side is resized to it, the middle cut out")
      ->option_text("PIXELS")
      ->check(CLI::Range(1, 16384))
      ->capture_default_str();
  command
      ->add_option("--max-bad", arguments.max_bad,
                   "number of broken pictures to leave out; each is named, and one more is an error")
      ->option_text("N")
      ->check(CLI::Range(0, 1'000'000'000))
      ->capture_default_str();
}

void add_data_fetch(CLI::App& data, Action& action) {
  CLI::App* command = data.add_subcommand(
      "fetch",
      "download a data set, check its SHA-256 sums and unpack it; files that are there already are kept");
  auto& arguments = arguments_of<DataFetchArguments>(command, action);
  command->add_option("NAME", arguments.name, "the data set, as data.source names it")
      ->required()
      ->option_text(fmt::format("{}", fmt::join(published_names(), "|")));
  command->add_option("--output", arguments.output, "the folder for its files (default: data/NAME)")
      ->option_text("DIR");
  command
      ->add_option("--mirror", arguments.mirror, "download from URL/<file name> instead of the authors' site")
      ->option_text("URL");
  command
      ->add_option("--sums", arguments.sums,
                   "compare with the SHA-256 sums in this file (made by sha256sum) instead of the published "
                   "ones, for a mirror whose files are packed differently")
      ->option_text("FILE");
  command
      ->add_option("--timeout", arguments.timeout,
                   "give up when the server sends nothing for this many seconds")
      ->option_text("S")
      ->check(CLI::Range(1.0, 3600.0))
      ->capture_default_str();
}

void add_data_info(CLI::App& data, Action& action) {
  CLI::App* command = data.add_subcommand(
      "info",
      "print what a data set holds: images, counts per class, mean and standard deviation for "
      "data.normalize. For files without a configuration, also a data: section to copy");
  auto& arguments = arguments_of<DataInfoArguments>(command, action);
  command
      ->add_option("DATA", arguments.config.path,
                   "a configuration (YAML), or files: a folder of pictures, of MNIST's or CIFAR's files, or "
                   "a packed file")
      ->required();
  add_overrides(command, arguments.config.overrides,
                "replace values of the configuration, e.g. data.path=DIR");
  command
      ->add_option("--sheet", arguments.sheet,
                   "also draw the first training images to this PNG file, a row per class")
      ->option_text("FILE");
  command->add_option("--columns", arguments.columns, "images per row of the sheet")
      ->option_text("N")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command
      ->add_flag("--verify", arguments.verify,
                 "read every image, compare packed ones with their checksums, and print how many are "
                 "damaged; exit code 1 if any is")
      ->excludes("--sheet");
}

}  // namespace

void add_data(CLI::App& app, Action& action) {
  CLI::App* data = app.add_subcommand("data", "download data sets, look at them, pack folders of pictures");
  data->group("Data and speed");
  data->require_subcommand(1);
  add_data_fetch(*data, action);
  add_data_info(*data, action);
  add_data_pack(*data, action);
}

}  // namespace convoy
