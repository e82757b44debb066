#include "src/io/download.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <optional>
#include <span>
#include <thread>
#include <utility>

#include "core/error.h"
#include "src/io/atomic_file.h"
#include "src/io/checksum.h"

namespace convoy {
namespace {

[[noreturn]] void fail_as_stopped() {
  throw Error("stopped on request; the file under way is removed", ExitCode::stopped);
}

}  // namespace

struct Downloader::Handle {
  Handle() {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) fail("libcurl cannot be initialised");
    curl = curl_easy_init();
    if (curl == nullptr) fail("libcurl cannot be initialised");
  }
  ~Handle() {
    curl_easy_cleanup(curl);
    curl_global_cleanup();
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  template <class Value>
  void set(CURLoption option, Value value) const {
    if (const CURLcode code = curl_easy_setopt(curl, option, value); code != CURLE_OK)
      fail("libcurl refuses option {}: {}", static_cast<int>(option), curl_easy_strerror(code));
  }
  CURL* curl = nullptr;
};

/// One file on its way, over several attempts.
struct Downloader::Transfer {
  Transfer(const DownloadOptions& with, std::filesystem::path to) : options(with), path(std::move(to)) {}

  const DownloadOptions& options;
  std::filesystem::path path;
  std::optional<AtomicFile> file;
  std::optional<Sha256> sum;
  std::int64_t received = 0, resumed_at = 0;
  std::exception_ptr problem;  ///< of writing, which must not pass through libcurl
  bool stopped = false;
  std::string reason;          ///< why the last attempt failed
  bool worth_a_retry = false;  ///< the same address may do better

  void start_over() {
    file.reset();
    file.emplace(path);
    sum.emplace();
    received = 0;
  }
  bool failed(bool retry, std::string why) {
    worth_a_retry = retry;
    reason = std::move(why);
    return false;
  }

  static std::size_t write(const char* data, std::size_t size, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    try {
      const auto bytes = std::as_bytes(std::span(data, size * count));
      if (transfer.received + static_cast<std::int64_t>(bytes.size()) > transfer.options.largest)
        fail("the server sends more than {} bytes: this is another file", transfer.options.largest);
      transfer.file->write(bytes);
      transfer.sum->update(bytes);
      transfer.received += static_cast<std::int64_t>(bytes.size());
      return bytes.size();
    } catch (...) {
      transfer.problem = std::current_exception();
      return 0;
    }
  }
  static int look(void* self, curl_off_t total, curl_off_t, curl_off_t, curl_off_t) {
    auto& transfer = *static_cast<Transfer*>(self);
    const DownloadOptions& options = transfer.options;
    transfer.stopped = options.stop_requested && options.stop_requested();
    if (options.progress) options.progress(transfer.received, total > 0 ? transfer.resumed_at + total : 0);
    return transfer.stopped ? 1 : 0;
  }
};

Downloader::Downloader(DownloadOptions options)
    : options_(std::move(options)), handle_(std::make_unique<Handle>()) {}
Downloader::~Downloader() = default;

void Downloader::wait(double seconds) const {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (Clock::now() < end && !stopped()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
}

void Downloader::fetch(const std::vector<std::string>& addresses, const std::filesystem::path& path,
                       const std::string& sha256) {
  Transfer transfer(options_, path);
  std::string problems;
  for (const std::string& address : addresses) {
    transfer.start_over();
    int attempts = 0;
    for (double pause = options_.pause;; pause *= 2) {
      ++attempts;
      if (attempt(transfer, address, sha256)) {
        transfer.file->commit();
        return;
      }
      if (!transfer.worth_a_retry || attempts == options_.attempts) break;
      if (options_.note) {
        options_.note(fmt::format("{}: {}; trying again in {:.2g} s (attempt {} of {})", address,
                                  transfer.reason, pause, attempts + 1, options_.attempts));
      }
      wait(pause);
      if (stopped()) fail_as_stopped();
    }
    if (!problems.empty()) problems += '\n';
    problems += format_printable("{}: {}{}", address, transfer.reason,
                                 attempts > 1 ? fmt::format(" ({} attempts)", attempts) : "");
  }
  throw Error(format_printable("cannot download {}\n", path.filename().string()) + problems);
}

/// False with the reason when the address did not give the file. Throws where no attempt can help.
bool Downloader::attempt(Transfer& transfer, const std::string& address, const std::string& sha256) {
  transfer.problem = nullptr;
  transfer.resumed_at = transfer.received;
  const Handle& handle = *handle_;
  curl_easy_reset(handle.curl);  // connections stay
  std::array<char, CURL_ERROR_SIZE> message{};
  const auto seconds = static_cast<long>(std::max(options_.timeout, 1.0));
  handle.set(CURLOPT_ERRORBUFFER, message.data());
  handle.set(CURLOPT_URL, address.c_str());
#if LIBCURL_VERSION_NUM >= 0x075500
  handle.set(CURLOPT_PROTOCOLS_STR, "http,https");
  handle.set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
  handle.set(CURLOPT_PROTOCOLS, long{CURLPROTO_HTTP | CURLPROTO_HTTPS});
  handle.set(CURLOPT_REDIR_PROTOCOLS, long{CURLPROTO_HTTP | CURLPROTO_HTTPS});
#endif
  handle.set(CURLOPT_FOLLOWLOCATION, 1L);
  handle.set(CURLOPT_MAXREDIRS, 10L);
  handle.set(CURLOPT_FAILONERROR, 1L);
  handle.set(CURLOPT_NOSIGNAL, 1L);
  handle.set(CURLOPT_USERAGENT, "convoy");
  // As OpenSSL's own programs do: a libcurl that was built elsewhere looks for certificates where that system
  // has them.
  if (const char* authorities = std::getenv("SSL_CERT_FILE")) handle.set(CURLOPT_CAINFO, authorities);
  handle.set(CURLOPT_CONNECTTIMEOUT, seconds);
  handle.set(CURLOPT_LOW_SPEED_LIMIT, 1000L);
  handle.set(CURLOPT_LOW_SPEED_TIME, seconds);
  handle.set(CURLOPT_RESUME_FROM_LARGE, curl_off_t{transfer.received});
  handle.set(CURLOPT_WRITEFUNCTION, &Transfer::write);
  handle.set(CURLOPT_WRITEDATA, &transfer);
  handle.set(CURLOPT_XFERINFOFUNCTION, &Transfer::look);
  handle.set(CURLOPT_XFERINFODATA, &transfer);
  handle.set(CURLOPT_NOPROGRESS, 0L);

  const CURLcode code = curl_easy_perform(handle.curl);
  handle.set(CURLOPT_ERRORBUFFER, static_cast<char*>(nullptr));
  if (transfer.problem) std::rethrow_exception(transfer.problem);
  if (transfer.stopped || stopped()) fail_as_stopped();
  if (code == CURLE_HTTP_RETURNED_ERROR) {
    long status = 0;
    curl_easy_getinfo(handle.curl, CURLINFO_RESPONSE_CODE, &status);
    if (transfer.resumed_at > 0 && status == 416) transfer.start_over();  // there is no more: begin anew
    return transfer.failed(status >= 500 || status == 408 || status == 416 || status == 429,
                           fmt::format("HTTP status {}", status));
  }
  if (code == CURLE_RANGE_ERROR) {  // it cannot go on in the middle
    transfer.start_over();
    return transfer.failed(true, "the server cannot go on where it stopped");
  }
  if (code != CURLE_OK) {
    const bool stays = code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL ||
                       code == CURLE_TOO_MANY_REDIRECTS || code == CURLE_PEER_FAILED_VERIFICATION;
    const std::string detail = message[0] != '\0' ? message.data() : curl_easy_strerror(code);
    return transfer.failed(!stays, code == CURLE_OPERATION_TIMEDOUT
                                       ? fmt::format("stuck after {} bytes ({})", transfer.received, detail)
                                       : detail);
  }
  const std::string got = transfer.sum->finish();
  if (!sha256.empty() && got.starts_with(sha256)) return true;
  const std::int64_t size = transfer.received;
  const bool in_pieces = transfer.resumed_at > 0;  // of two files, perhaps
  transfer.start_over();
  return transfer.failed(
      in_pieces,
      fmt::format("{} bytes with SHA-256 {} came, expected {}: this is another file", size, got, sha256));
}

}  // namespace convoy
