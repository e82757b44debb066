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

#include "core/error.h"

namespace convoy {
namespace {

constexpr int socket_flags = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
constexpr std::size_t most_unread = std::size_t{1} << 16;  // no flood from a stranger fills the memory

void set_option(int fd, int level, int name, int value) {
  ::setsockopt(fd, level, name, &value, sizeof value);
}

using AddressInfo = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

/// Null when the text is no numeric address.
AddressInfo resolve(const std::string& address, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) found = nullptr;
  return {found, ::freeaddrinfo};
}

}  // namespace

std::optional<Listener> listen_at(const std::string& address) {
  const AddressInfo place = resolve(address, 0);
  if (!place) return std::nullopt;
  Listener listener;
  listener.address = address;
  listener.socket = FileDescriptor(::socket(place->ai_family, socket_flags, 0));
  const int fd = listener.socket.get();
  if (fd < 0 || ::bind(fd, place->ai_addr, place->ai_addrlen) != 0 || ::listen(fd, SOMAXCONN) != 0)
    return std::nullopt;
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0) return std::nullopt;
  listener.port = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                                                    : reinterpret_cast<const sockaddr_in&>(bound).sin_port);
  return listener;
}

Accepted accept_from(const Listener& listener, FileDescriptor& connection) {
  connection =
      FileDescriptor(::accept4(listener.socket.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (connection) {
    set_option(connection.get(), IPPROTO_TCP, TCP_NODELAY, 1);
    return Accepted::connection;
  }
  const bool exhausted = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
  return exhausted ? Accepted::no_descriptor_is_free : Accepted::none_waits;
}

ConnectionAttempt connect_to(const std::string& address, std::uint16_t port,
                             std::chrono::milliseconds limit) {
  const AddressInfo place = resolve(address, port);
  if (!place) return {};
  FileDescriptor fd(::socket(place->ai_family, socket_flags, 0));
  if (!fd) return {};
  if (::connect(fd.get(), place->ai_addr, place->ai_addrlen) != 0) {
    if (errno != EINPROGRESS) return {{}, errno == ECONNREFUSED};
    pollfd ready{fd.get(), POLLOUT, 0};
    if (::poll(&ready, 1, static_cast<int>(limit.count())) != 1) return {};
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return {{}, error == ECONNREFUSED};
  }
  set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  return {std::move(fd), false};
}

bool is_readable_before(int socket, std::chrono::steady_clock::time_point until) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
  pollfd file{socket, POLLIN, 0};
  return left > 0 && ::poll(&file, 1, static_cast<int>(left)) != 0;
}

OwnAddresses own_addresses() {
  ifaddrs* found = nullptr;
  if (::getifaddrs(&found) != 0) fail("cannot list this host's addresses: {}", std::strerror(errno));
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(found, ::freeifaddrs);
  OwnAddresses own;
  for (const ifaddrs* entry = found; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || (entry->ifa_flags & IFF_UP) == 0) continue;
    const int family = entry->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    const socklen_t size = family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
    std::array<char, NI_MAXHOST> text{};
    if (::getnameinfo(entry->ifa_addr, size, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0)
      continue;
    if (std::strchr(text.data(), '%') != nullptr) continue;  // of one link alone
    ((entry->ifa_flags & IFF_LOOPBACK) != 0 ? own.loopback : own.outside).emplace_back(text.data());
  }
  return own;
}

void Channel::close() {
  socket_.reset();
  ended_ = true;
}

void Channel::send_unsent() {
  while (!outgoing_.empty() && !ended_) {
    const ssize_t sent = ::send(fd(), outgoing_.data(), outgoing_.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      outgoing_.erase(0, static_cast<std::size_t>(sent));
    } else if (errno != EINTR) {
      break;  // full, or broken: receiving tells, after what came before
    }
  }
}

void Channel::receive() {
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
