#include <gtest/gtest.h>

#include "acquisition/driver.h"

namespace lockstep {
namespace {

TEST(Uri, takes_scheme_address_and_options_apart) {
    const auto uri = Uri::parse("virtual:mps2-an386?signals=eeg:a.csv,imu:b%20c.csv&baud=921600");
    ASSERT_TRUE(uri);
    EXPECT_EQ(uri->scheme, "virtual");
    EXPECT_EQ(uri->address, "mps2-an386");
    EXPECT_EQ(uri->value("signals"), "eeg:a.csv,imu:b c.csv");
    EXPECT_EQ(uri->value("baud", "1"), "921600");
    EXPECT_EQ(uri->value("speed", "2"), "2");
}

TEST(Uri, survives_the_way_to_text_and_back) {
    Uri uri{"replay", "/data/a b.h5", {{"speed", "2"}, {"x", "1&2=3%?"}}};
    const auto back = Uri::parse(uri.text());
    ASSERT_TRUE(back) << uri.text();
    EXPECT_EQ(back->address, uri.address);
    EXPECT_EQ(back->query, uri.query);
}

TEST(Uri, keeps_colons_of_an_address) {
    EXPECT_EQ(Uri::parse("ble:AA:BB:CC:DD:EE:FF")->address, "AA:BB:CC:DD:EE:FF");
    EXPECT_EQ(Uri::parse("serial:/dev/serial/by-id/usb-1.2:3-if00")->address,
              "/dev/serial/by-id/usb-1.2:3-if00");
}

TEST(Uri, refuses_what_is_none_and_says_what_one_looks_like) {
    for (const char* text : {"", "x", ":", "serial:", "Serial:/dev/x", "a b:c", "serial:/dev/x?baud",
                             "serial:/dev/x?=1", "serial:/dev/x?baud=%4", "serial:/dev/x?baud=%zz"}) {
        const auto uri = Uri::parse(text);
        ASSERT_FALSE(uri) << text;
        EXPECT_EQ(uri.error().kind, ErrorKind::usage);
        EXPECT_NE(uri.error().remedy, "");
    }
}

}  // namespace
}  // namespace lockstep
