// Downloads whose progress people see, and which a stop request breaks off.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "src/train/stop_request.h"

namespace convoy {

/// Of a file in a server's folder, whose address may end with a slash.
inline std::string address_at(const std::string& folder, const std::string& file) {
  return folder + (folder.ends_with('/') ? "" : "/") + file;
}

class Downloads {
 public:
  /// `timeout`: seconds without a byte after which a server is given up. `stop` outlives this.
  Downloads(double timeout, const StopRequest& stop);
  ~Downloads();
  Downloads(const Downloads&) = delete;
  Downloads& operator=(const Downloads&) = delete;

  /// See Downloader::fetch. Says what came, once it is there.
  void fetch(const std::vector<std::string>& addresses, const std::filesystem::path& path,
             const std::string& sha256);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace convoy
