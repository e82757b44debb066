// Downloads whose progress people see, and which a stop request breaks off.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "src/train/stop_request.h"

namespace convoy {

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
