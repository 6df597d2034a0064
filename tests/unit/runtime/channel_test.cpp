// What create and init tell each other, when one of them ends in the middle of it.
#include "base/process.h"
#include "runtime/channel.h"
#include "tests/unit/catch.h"

TEST_CASE("an error of init is heard although init left a message unread") {
    Channel channel;
    Child init = clone_process({}, [&] {
        channel.become(Side::init);
        while (::recv(channel.fd(), nullptr, 0, MSG_PEEK) < 0) {}   // there it is
        throw Error("not a directory");
    }, [&](const std::exception& e) { channel.send(Step::error, e.what()); });
    channel.become(Side::create);
    channel.send(Step::filter, "unread");
    init.wait();
    CHECK(error_of([&] { channel.expect(Step::made); }) == "unable to start container process: not a directory");
}
