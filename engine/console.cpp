// A runtime that died after it connected sends nothing: what was received is checked, not trusted.
#include "engine/console.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"

ConsoleSocket::ConsoleSocket(std::string path)
    : path_(std::move(path)),
      listener_(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "opening a socket")) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path_.size() >= sizeof address.sun_path)
        throw Error("the path of the console socket is too long: ", path_);
    path_.copy(address.sun_path, path_.size());
    ::unlink(path_.c_str());
    check(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address),
          "binding ", path_);
    check(::listen(listener_.get(), 1), "listening at ", path_);
}

ConsoleSocket::~ConsoleSocket() { ::unlink(path_.c_str()); }

UniqueFd ConsoleSocket::receive() const {
    const UniqueFd connection(check(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC),
                                    "waiting for the console"));
    char name[256];
    iovec part{name, sizeof name};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    msghdr message{};
    message.msg_iov = &part, message.msg_iovlen = 1, message.msg_control = control,
    message.msg_controllen = sizeof control;
    check(::recvmsg(connection.get(), &message, MSG_CMSG_CLOEXEC), "receiving the console");
    const cmsghdr* head = CMSG_FIRSTHDR(&message);
    if (!head || head->cmsg_type != SCM_RIGHTS) throw Error("the runtime sent no console");
    int fd = -1;
    std::copy_n(CMSG_DATA(head), sizeof fd, reinterpret_cast<unsigned char*>(&fd));
    return UniqueFd(fd);
}
