// `convoy data fetch`: published data sets, downloaded, checked and unpacked.
#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>

#include "comm/agree_on_root.h"
#include "core/log.h"
#include "core/regular_file.h"
#include "src/cli/commands.h"
#include "src/cli/downloads.h"
#include "src/data/data_source.h"
#include "src/io/atomic_file.h"
#include "src/io/checksum.h"
#include "src/io/tar.h"
#include "src/train/early_stop.h"
#include "src/train/stop_request.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

const DataSource& find_set(const std::string& name) {
  for (const SourceFacts& facts : source_list) {
    const DataSource& set = data_source(facts.source);
    if (name == facts.name && !set.published().files.empty()) return set;
  }
  fail_usage("data fetch: no data set called {}; there are {}", name, fmt::join(published_names(), ", "));
}

/// Made with the folders above it if need be; whatever of that is empty in the end goes again.
class OutputFolder {
 public:
  explicit OutputFolder(fs::path path) : path_(std::move(path)) {
    for (fs::path p = fs::absolute(path_).lexically_normal(); !p.empty() && !fs::exists(p);
         p = p.parent_path())
      made_.push_back(p);
    std::error_code problem;
    fs::create_directories(path_, problem);
    if (problem) fail("--output: cannot make the folder {}: {}", path_.string(), problem.message());
  }
  ~OutputFolder() {
    std::error_code ignored;
    for (const fs::path& p : made_) fs::remove(p, ignored);  // a folder that holds something stays
  }
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  std::vector<fs::path> made_;  ///< innermost first
};

/// A file that is removed in the end.
class Temporary {
 public:
  explicit Temporary(fs::path path) : path_(std::move(path)) {}
  ~Temporary() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;

 private:
  fs::path path_;
};

class Fetch {
 public:
  Fetch(const DataSource& set, const DataFetchArguments& arguments, const StopRequest& stop)
      : name_(set.name()),
        published_(set.published()),
        folder_(arguments.output.empty() ? fs::path("data") / name_ : fs::path(arguments.output)),
        downloads_(arguments.timeout, stop) {
    if (!arguments.sums.empty()) sums_ = read_sums(arguments.sums);
    if (!arguments.mirror.empty())
      servers_ = {arguments.mirror};
    else
      servers_ = published_.folders;
  }

  void run() {
    for (const PublishedFile& file : published_.files) {
      if (file.unpacked.empty())
        fetch(file);
      else
        fetch_and_unpack(file);
    }
    log_info("{} is in {}: data: {{source: {}, path: {}}}", name_, folder_.path().string(), name_,
             folder_.path().string());
  }

 private:
  const std::string& sum_of(const PublishedFile& file) const {
    if (sums_.empty()) return file.sha256;
    const auto found = sums_.find(file.name);
    if (found == sums_.end()) fail("--sums: no sum of {}", file.name);
    return found->second;
  }

  /// Whether the file had to be downloaded.
  bool fetch(const PublishedFile& file) {
    const fs::path path = folder_.path() / file.name;
    const std::string& sum = sum_of(file);
    if (fs::exists(path)) {
      if (sha256_of(path) == sum) {
        log_info("{}: already here", file.name);
        return false;
      }
      log_warn("{}: its SHA-256 is not {}; it will be replaced", path.string(), sum);
    }
    std::vector<std::string> addresses;
    for (const std::string& server : servers_) addresses.push_back(address_at(server, file.name));
    downloads_.fetch(addresses, path, sum);
    return true;
  }

  /// What was unpacked is remembered by its sums, in a file that `sha256sum --check` reads.
  void fetch_and_unpack(const PublishedFile& file) {
    const fs::path record = folder_.path() / "SHA256SUMS";
    const std::string origin = fmt::format("# unpacked from {} with SHA-256 {}\n", file.name, sum_of(file));
    if (holds_unpacked(file, record, origin)) {
      log_info("{}: already here, unpacked", file.name);
      return;
    }
    const fs::path archive = folder_.path() / file.name;
    std::optional<Temporary> own;  // an archive that somebody else has put there stays
    if (fetch(file)) own.emplace(archive);
    unpack_members(archive, file.unpacked, folder_.path());
    std::string text = origin;
    for (const std::string& name : file.unpacked)
      text += fmt::format("{}  {}\n", sha256_of(folder_.path() / name), name);
    write_file_atomically(record, text);
    log_info("{}: unpacked {} files", file.name, file.unpacked.size());
  }
  bool holds_unpacked(const PublishedFile& file, const fs::path& record, const std::string& origin) const {
    if (!fs::exists(record) || !read_file(record).starts_with(origin)) return false;
    const std::map<std::string, std::string> sums = read_sums(record);
    return std::all_of(file.unpacked.begin(), file.unpacked.end(), [&](const std::string& name) {
      const fs::path path = folder_.path() / name;
      return sums.contains(name) && fs::exists(path) && sha256_of(path) == sums.at(name);
    });
  }

  const std::string name_;
  const Published published_;
  const OutputFolder folder_;
  Downloads downloads_;
  std::map<std::string, std::string> sums_;
  std::vector<std::string> servers_;
};

}  // namespace

int run(const CommandContext& context, const DataFetchArguments& arguments) {
  const RankEnvironment& ranks = context.ranks;
  ranks.activity().begin("fetching data");
  const StopRequest stop;
  const EarlyStop early([&] { return stop.made(); }, context.watchdog, "on request; what is whole stays",
                        std::chrono::seconds(3));
  agree_on_root(ranks, [&] { Fetch(find_set(arguments.name), arguments, stop).run(); });
  return static_cast<int>(ExitCode::done);
}

}  // namespace convoy
