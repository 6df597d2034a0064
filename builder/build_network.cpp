// Leaving the network takes seconds (container/network.h), and nobody shall wait for that, nor can a build
// that is killed do it. So a process of its own session waits for the end of a pipe that only the build
// holds, in every case, and then leaves for it.
#include "builder/build_network.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/defer.h"
#include "base/error.h"
#include "base/log.h"
#include "container/identity.h"
#include "container/netlink.h"

std::string BuildNetwork::path() {
    if (!endpoint_) make();
    return str("/proc/", ::getpid(), "/fd/", namespace_.get());
}

void BuildNetwork::make() {
    namespace_ = make_network_namespace();
    Endpoint endpoint(store_root_, "build-" + random_id(), {});
    pipe_ = sys::pipe();
    sigset_t all, before;
    ::sigfillset(&all);
    ::sigprocmask(SIG_BLOCK, &all, &before);
    const Defer unblocked([&] { ::sigprocmask(SIG_SETMASK, &before, nullptr); });
    Child keeper = clone_process({}, [&] {
        ::setsid();
        const UniqueFd nothing = sys::open("/dev/null", O_RDWR);
        for (const int fd : {0, 1, 2}) ::dup2(nothing.get(), fd);   // whoever reads the build's output waits for its end
        pipe_.write.reset();
        namespace_.reset();
        char none;
        while (::read(pipe_.read.get(), &none, 1) < 0 && errno == EINTR) {}
        endpoint.release(1);
    }, [](const std::exception& e) { log_warning(e.what()); });
    keeper.release();
    pipe_.read.reset();
    endpoint.connect(namespace_.get(), ::getpid());
    endpoint_ = std::move(endpoint);
}
