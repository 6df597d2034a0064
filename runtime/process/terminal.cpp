// /dev/pts is the container's, and at an exec its processes may have mounted whatever they like in
// there. So ptmx is opened below that directory, across no link and no mount, and must be device
// 5:2; the slave is asked of the master and not of a path. Two terminals stand behind each other,
// and one of them ends the lines: the caller's, for what comes out of the container may go to a
// file. Who listens on a socket and does not accept would keep us for ever, so sending has an end.
#include "runtime/process/terminal.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"

Terminal open_terminal(int pts_directory, const std::optional<spec::Box>& size) {
    struct statfs fs{};
    check(::fstatfs(pts_directory, &fs), "statfs /dev/pts");
    if (fs.f_type != DEVPTS_SUPER_MAGIC) throw Error("a terminal needs a devpts on /dev/pts");
    Terminal made;
    // What lies on it would be another file system's: a process of the container may mount in
    // there.
    open_how how{};
    how.flags = O_RDWR | O_NOCTTY;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
    auto master = sys::try_openat2(pts_directory, "ptmx", how);
    if (!master) throw SysError(master.error(), "open /dev/pts/ptmx");
    if (sys::fstat(master->get()).st_rdev != makedev(5, 2))
        throw Error("/dev/pts/ptmx is another device");
    made.master = std::move(*master);
    const int unlock = 0;
    unsigned number = 0;
    check(::ioctl(made.master.get(), TIOCSPTLCK, &unlock), "unlocking the terminal");
    check(::ioctl(made.master.get(), TIOCGPTN, &number), "the terminal's number");
    // By the master, never by a path that a container could have changed (CVE-2025-52565).
    made.slave =
        UniqueFd(check(::ioctl(made.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC),
                       "opening the terminal"));
    made.name = str("/dev/pts/", number);
    if (size && size->height && size->width) {
        const winsize wanted{(unsigned short)(size->height), (unsigned short)(size->width), 0, 0};
        check(::ioctl(made.slave.get(), TIOCSWINSZ, &wanted), "setting the terminal's size");
    }
    return made;
}

void attach_terminal(Terminal& terminal) {
    check(::ioctl(terminal.slave.get(), TIOCSCTTY, 0), "making the terminal the controlling one");
    for (int fd = 0; fd < 3; ++fd) check(::dup2(terminal.slave.get(), fd), "dup2 of the terminal");
    terminal.slave.reset();
}

void send_descriptor(const std::string& socket_path, std::string_view word, int fd) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket_path.size() >= sizeof address.sun_path)
        throw Error("socket path too long: ", quoted(socket_path));
    socket_path.copy(address.sun_path, socket_path.size());
    const UniqueFd socket(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    // Who does not accept lets others wait: for ever, if nobody said for how long.
    const timeval patience{10, 0};
    check(::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience),
          "setsockopt");
    int connected;
    do
        connected =
            ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    while (connected < 0 && errno == EINTR);
    if (connected < 0) throw SysError("dial unix ", socket_path, ": connect");
    const int fds[] = {fd};
    context(str("dial unix ", socket_path), [&] { sys::send_with_fds(socket.get(), word, fds); });
}

UniqueFd callers_terminal() {
    for (const int fd : {2, 1, 0})
        if (::isatty(fd))
            return UniqueFd(check(::fcntl(fd, F_DUPFD_CLOEXEC, 3), "duplicating the terminal"));
    return UniqueFd(::open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC));
}

struct RawMode::Saved {
    termios mode{};
};

RawMode::RawMode(int fd) : fd_(fd) {
    termios before{};
    if (::tcgetattr(fd, &before) < 0) return;
    saved_ = new Saved{before};
    termios raw = before;
    ::cfmakeraw(&raw);
    raw.c_oflag |= OPOST;  // it ends its lines itself: see suit_callers_terminal
    ::tcsetattr(fd, TCSANOW, &raw);
}

RawMode::~RawMode() {
    if (saved_) ::tcsetattr(fd_, TCSANOW, &saved_->mode);
    delete saved_;
}

void suit_callers_terminal(int master) {
    copy_window_size(callers_terminal().get(), master);
    termios mode{};
    if (::tcgetattr(master, &mode) < 0) return;
    mode.c_oflag &= ~tcflag_t(ONLCR);
    ::tcsetattr(master, TCSANOW, &mode);
}

void copy_window_size(int from, int to) {
    winsize size{};
    if (::ioctl(from, TIOCGWINSZ, &size) == 0 && ::ioctl(to, TIOCSWINSZ, &size) < 0) return;
}
