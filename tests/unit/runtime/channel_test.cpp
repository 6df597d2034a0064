// What create and init tell each other, when one of them ends in the middle of it.
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/process.h"
#include "runtime/process/channel.h"
#include "tests/unit/catch.h"

TEST_CASE("an error of init is heard although init left a message unread") {
    Channel channel;
    Child init = clone_process(
        {},
        [&] {
            channel.become(Side::init);
            while (::recv(channel.fd(), nullptr, 0, MSG_PEEK) < 0) {
            }  // there it is
            throw Error("not a directory");
        },
        [&](const std::exception& e) { channel.send(Step::error, e.what()); });
    channel.become(Side::create);
    channel.send(Step::filter, "unread");
    init.wait();
    CHECK(error_of([&] { channel.expect(Step::made); }) ==
          "unable to start container process: not a directory");
}

TEST_CASE("what init logs is written where its creator's log goes, between its steps") {
    const LogSettings before = log_settings();
    const UniqueFd file(::memfd_create("log", MFD_CLOEXEC));
    set_log({.fd = file.get()});
    Channel channel;
    Child init = clone_process(
        {},
        [&] {
            channel.become(Side::init);
            channel.carry_log();
            ::close(file.get());
            log_warning("first");
            channel.send(Step::made, "yes");
            log_warning("last");
            ::_exit(0);
        },
        [](const std::exception&) {});
    channel.become(Side::create);
    CHECK(channel.expect(Step::made).text == "yes");
    CHECK_NOTHROW(channel.expect_close());
    init.wait();
    set_log(before);
    ::lseek(file.get(), 0, SEEK_SET);
    const std::string log = sys::read_all(file.get(), 1000);
    CHECK(log.contains("level=warning msg=\"first\""));
    CHECK(log.contains("level=warning msg=\"last\""));
}
