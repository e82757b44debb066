// What tests/cli/fetch_test.py cannot see of downloads: that of too large a file no more is taken than is
// allowed.
#include "src/io/download.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstdlib>
#include <thread>

#include "comm/socket.h"
#include "src/io/checksum.h"
#include "tests/data/support.h"

namespace convoy::testing {
namespace {

void await_input(const FileDescriptor& socket) {
  pollfd ready{socket.get(), POLLIN, 0};
  ::poll(&ready, 1, 5000);
}

/// Answers one request with these bytes.
void serve_once(const Listener& listener, const std::string& content) {
  await_input(listener.socket);
  FileDescriptor client;
  ASSERT_EQ(accept_from(listener, client), Accepted::connection);
  std::string request;
  char piece[1024];
  while (request.find("\r\n\r\n") == std::string::npos) {
    await_input(client);
    const auto got = ::recv(client.get(), piece, sizeof piece, 0);
    if (got <= 0) return;
    request.append(piece, static_cast<std::size_t>(got));
  }
  const std::string answer = fmt::format(
      "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}", content.size(), content);
  ::send(client.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
}

TEST(Download, NoMoreThanAllowedIsTaken) {
  ::setenv("no_proxy", "127.0.0.1", 1);
  const std::string content(1000, 'x');
  Sha256 sum;
  sum.update(std::as_bytes(std::span(content)));
  const std::string digits = sum.finish();
  const TemporaryFolder folder;
  for (const std::int64_t largest : {1000, 999}) {
    const Listener listener = listen_at("127.0.0.1").value();
    const std::jthread server([&] { serve_once(listener, content); });
    DownloadOptions options;
    options.largest = largest;
    const std::string address = fmt::format("http://127.0.0.1:{}/file", listener.port);
    const auto path = folder.path() / std::to_string(largest);
    if (largest == 1000) {
      EXPECT_NO_THROW(Downloader(options).fetch({address}, path, digits));
      EXPECT_EQ(std::filesystem::file_size(path), 1000u);
    } else {
      expect_contains(message_of([&] { Downloader(options).fetch({address}, path, digits); }),
                      {"more than 999 bytes: this is another file"});
      EXPECT_FALSE(std::filesystem::exists(path));
    }
  }
}

}  // namespace
}  // namespace convoy::testing
