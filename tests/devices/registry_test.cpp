#include "devices/registry.h"

#include <gmock/gmock.h>

#include "devices/child_process.h"

namespace lockstep {
namespace {

using testing::HasSubstr;

Error error_of(const std::string& text) {
    const auto uri = Uri::parse(text);
    EXPECT_TRUE(uri) << text;
    auto driver = make_driver_factory()(*uri);
    if (driver) {
        ADD_FAILURE() << text << " was accepted";
        return {};
    }
    return driver.error();
}

TEST(Registry, every_scheme_of_the_table_is_known_to_the_factory) {
    for (const DriverInfo& info : device_table()) {
        const auto driver = make_driver_factory()(Uri{info.scheme, "HOST:1", {}});
        if (!driver) {
            EXPECT_THAT(driver.error().what, testing::Not(HasSubstr("no device is called"))) << info.scheme;
        }
        EXPECT_NE(info.text, "");
        EXPECT_NE(info.address_hint, "");
    }
}

TEST(Registry, what_it_does_not_know_is_named_with_what_there_is) {
    EXPECT_THAT(error_of("usb:1").message(), HasSubstr("serial"));
    EXPECT_EQ(error_of("usb:1").kind, ErrorKind::usage);
    EXPECT_THAT(error_of("serial:/dev/x?baut=1").message(), HasSubstr("baud"));
    EXPECT_THAT(error_of("serial:/dev/x?baud=fast").message(), HasSubstr("baud is 'fast'"));
    EXPECT_THAT(error_of("tcp:host").message(), HasSubstr("HOST:PORT"));
    EXPECT_THAT(error_of("virtual:mps2-an386?melt=1").message(), HasSubstr("signals"));
    EXPECT_THAT(error_of("replay:x.h5?speed=-1").message(), HasSubstr("speed"));
    EXPECT_THAT(error_of("ble:AA:BB:CC").message(), HasSubstr("Bluetooth address"));
}

TEST(Registry, the_virtual_board_takes_the_benchs_options) {
    const auto uri = Uri::parse("virtual:mps2-an386?flip=1e-6&drop=1e-6&cut-every=20&firmware=x.elf");
    ASSERT_TRUE(uri);
    EXPECT_TRUE(make_driver_factory()(*uri));
}

TEST(ChildProcess, gives_the_ready_line_and_dies_with_its_owner) {
    ChildProcess child;
    const auto ready =
        child.start({"/bin/sh", "-c", "echo one; echo ready $$; exec sleep 100"}, "ready ", 5000);
    ASSERT_TRUE(ready) << ready.error().message();
    EXPECT_GT(std::stoi(*ready), 1);
}

TEST(ChildProcess, the_last_words_of_one_that_fails_are_the_error) {
    ChildProcess child;
    const auto ready = child.start({"/bin/sh", "-c", "echo no such board >&2; exit 2"}, "ready ", 5000);
    ASSERT_FALSE(ready);
    EXPECT_EQ(ready.error().what, "no such board");
    ChildProcess none;
    EXPECT_FALSE(none.start({"/nowhere/lockstep"}, "ready ", 5000));
}

}  // namespace
}  // namespace lockstep
