#include "comm/socket.h"

#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "src/core/error.h"

namespace convoy {
namespace {

constexpr int socket_flags = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
constexpr std::size_t most_unread = std::size_t{1} << 20;  // no flood from a stranger fills the memory

void set_option(int fd, int level, int name, int value) {
  ::setsockopt(fd, level, name, &value, sizeof value);
}

/// A socket of one family bound to a free port; none when the family is not there.
FileDescriptor listening_socket(int family) {
  FileDescriptor fd(::socket(family, socket_flags, 0));
  if (!fd) return {};
  sockaddr_storage any{};  // all zero: any address, any port
  any.ss_family = static_cast<sa_family_t>(family);
  if (family == AF_INET6) set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0);  // and IPv4 as well
  const socklen_t size = family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), size) != 0) return {};
  if (::listen(fd.get(), SOMAXCONN) != 0) return {};
  return fd;
}

}  // namespace

Listener listen_anywhere() {
  Listener listener;
  listener.socket = listening_socket(AF_INET6);
  if (!listener.socket) listener.socket = listening_socket(AF_INET);
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (!listener.socket ||
      ::getsockname(listener.socket.get(), reinterpret_cast<sockaddr*>(&bound), &size) != 0)
    fail("cannot listen for the other ranks: {}", std::strerror(errno));
  listener.port = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                                                    : reinterpret_cast<const sockaddr_in&>(bound).sin_port);
  return listener;
}

FileDescriptor accept_from(const FileDescriptor& listener) {
  FileDescriptor fd(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (fd) set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  return fd;
}

FileDescriptor connect_to(const std::string& address, std::uint16_t port, std::chrono::milliseconds limit) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return {};
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, ::freeaddrinfo);
  FileDescriptor fd(::socket(found->ai_family, socket_flags, 0));
  if (!fd) return {};
  if (::connect(fd.get(), found->ai_addr, found->ai_addrlen) != 0) {
    if (errno != EINPROGRESS) return {};
    pollfd ready{fd.get(), POLLOUT, 0};
    if (::poll(&ready, 1, static_cast<int>(limit.count())) != 1) return {};
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return {};
  }
  set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  return fd;
}

std::vector<std::string> own_addresses() {
  ifaddrs* found = nullptr;
  if (::getifaddrs(&found) != 0) fail("cannot list this host's addresses: {}", std::strerror(errno));
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(found, ::freeifaddrs);
  std::vector<std::string> outside, loopback;
  for (const ifaddrs* entry = found; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || (entry->ifa_flags & IFF_UP) == 0) continue;
    const int family = entry->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    const socklen_t size = family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
    std::array<char, NI_MAXHOST> text{};
    if (::getnameinfo(entry->ifa_addr, size, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0)
      continue;
    if (std::strchr(text.data(), '%') != nullptr) continue;  // of one link alone
    ((entry->ifa_flags & IFF_LOOPBACK) != 0 ? loopback : outside).emplace_back(text.data());
  }
  outside.insert(outside.end(), loopback.begin(), loopback.end());
  return outside;
}

void ByteChannel::send_unsent() {
  while (!outgoing_.empty() && !ended_) {
    const ssize_t sent = ::send(fd(), outgoing_.data(), outgoing_.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      outgoing_.erase(0, static_cast<std::size_t>(sent));
    } else if (errno != EINTR) {
      break;  // full, or broken: receiving tells, after what came before
    }
  }
}

void ByteChannel::receive() {
  std::array<char, 4096> buffer;
  while (!ended_ && incoming_.size() < most_unread) {
    const ssize_t got = ::recv(fd(), buffer.data(), buffer.size(), 0);
    if (got > 0) {
      incoming_.append(buffer.data(), static_cast<std::size_t>(got));
    } else if (got < 0 && errno == EINTR) {
      continue;
    } else if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      break;
    } else {
      ended_ = true;
    }
  }
}

}  // namespace convoy
