// One description of a message's fields serves both directions: fields(codec, message) is written once for
// every message and called with a Writer or a Reader. Included by the .cpp files of this folder only.
#pragma once

#include <string.h>

#include "dsp/base/bytes.h"

namespace lockstep::wire {

// Integers little-endian; bool and enumerations as one byte; char arrays as text with a length byte; byte
// arrays as they are; a structure as its own fields.
class Writer {
  public:
    template <typename Message>
    using Of = const Message;
    static constexpr bool kReads = false;

    explicit Writer(MutableBytes out) : out_(out) {}

    template <typename... T>
    void operator()(const T&... values) {
        (put(values), ...);
    }
    // A count byte and so many items.
    template <typename T, size_t N>
    void list(uint8_t count, const T (&items)[N]) {
        put(count);
        require(count <= N);
        for (size_t i = 0; i < count && i < N; ++i)
            put(items[i]);
    }
    // An enumeration whose values go up to `last`.
    template <typename Enum>
    void known(Enum value, Enum) {
        put(value);
    }
    template <typename Enum>
    void known_or(Enum value, Enum, Enum) {
        put(value);
    }
    void constant(uint32_t value) { put(value); }
    void counted(Bytes bytes, size_t most) {
        put(uint16_t(bytes.size()));
        out_.bytes(bytes);
        require(bytes.size() <= most);
    }
    void rest(Bytes bytes) { out_.bytes(bytes); }
    // Of what is read: the writer's caller knows what it sends.
    void check(bool) {}
    // The payload's length, 0 when it did not fit.
    size_t done() const { return well_ && out_.ok() ? out_.size() : 0; }

  private:
    void require(bool holds) { well_ = well_ && holds; }
    // Not inlined: every message calls these, and a board's flash is small.
    [[gnu::noinline]] void put(uint8_t v) { out_.u8(v); }
    [[gnu::noinline]] void put(bool v) { out_.u8(v ? 1 : 0); }
    [[gnu::noinline]] void put(uint16_t v) { out_.u16(v); }
    [[gnu::noinline]] void put(uint32_t v) { out_.u32(v); }
    [[gnu::noinline]] void put(uint64_t v) { out_.u64(v); }
    [[gnu::noinline]] void put(float v) { out_.f32(v); }
    template <size_t N>
    [[gnu::noinline]] void put(const char (&text)[N]) {
        out_.text(text);
    }
    template <size_t N>
    [[gnu::noinline]] void put(const uint8_t (&bytes)[N]) {
        out_.bytes(Bytes(bytes));
    }
    template <typename T>
    [[gnu::noinline]] void put(const T& v) {
        if constexpr (__is_enum(T))
            out_.u8(uint8_t(v));
        else
            fields(*this, v);
    }

    ByteWriter out_;
    bool well_ = true;
};

class Reader {
  public:
    template <typename Message>
    using Of = Message;
    static constexpr bool kReads = true;

    explicit Reader(Bytes in) : in_(in) {}

    template <typename... T>
    void operator()(T&... values) {
        (get(values), ...);
    }
    template <typename T, size_t N>
    void list(uint8_t& count, T (&items)[N]) {
        get(count);
        check(count <= N);
        for (size_t i = 0; i < count && well_; ++i)
            get(items[i]);
    }
    template <typename Enum>
    void known(Enum& value, Enum last) {
        const uint8_t v = in_.u8();
        check(v <= uint8_t(last));
        value = v <= uint8_t(last) ? Enum(v) : Enum();
    }
    // What a newer sender may know more of.
    template <typename Enum>
    void known_or(Enum& value, Enum last, Enum otherwise) {
        const uint8_t v = in_.u8();
        value = v <= uint8_t(last) ? Enum(v) : otherwise;
    }
    void constant(uint32_t value) { check(in_.u32() == value); }
    void counted(Bytes& bytes, size_t most) {
        bytes = in_.bytes(in_.u16());
        check(bytes.size() <= most);
    }
    void rest(Bytes& bytes) { bytes = in_.rest(); }
    void check(bool holds) { well_ = well_ && holds && in_.ok(); }
    bool done() const { return well_ && in_.ok(); }

  private:
    [[gnu::noinline]] void get(uint8_t& v) { v = in_.u8(); }
    [[gnu::noinline]] void get(bool& v) { v = in_.u8() != 0; }
    [[gnu::noinline]] void get(uint16_t& v) { v = in_.u16(); }
    [[gnu::noinline]] void get(uint32_t& v) { v = in_.u32(); }
    [[gnu::noinline]] void get(uint64_t& v) { v = in_.u64(); }
    [[gnu::noinline]] void get(float& v) { v = in_.f32(); }
    template <size_t N>
    [[gnu::noinline]] void get(char (&text)[N]) {
        in_.text(text, N);
    }
    template <size_t N>
    [[gnu::noinline]] void get(uint8_t (&bytes)[N]) {
        const Bytes b = in_.bytes(N);
        if (b.size() == N) memcpy(bytes, b.data(), N);
    }
    template <typename T>
    [[gnu::noinline]] void get(T& v) {
        if constexpr (__is_enum(T))
            v = T(in_.u8());
        else
            fields(*this, v);
    }

    ByteReader in_;
    bool well_ = true;
};

template <typename Message>
size_t encode(const Message& m, MutableBytes out) {
    Writer writer(out);
    fields(writer, m);
    return writer.done();
}

template <typename Message>
bool decode(Bytes payload, Message* m) {
    Reader reader(payload);
    fields(reader, *m);
    return reader.done();
}

}  // namespace lockstep::wire

// Both directions of a message whose fields() stands above.
// NOLINTBEGIN(bugprone-macro-parentheses): it is a type.
#define LOCKSTEP_WIRE_MESSAGE(Message)                             \
    template size_t encode<Message>(const Message&, MutableBytes); \
    template bool decode<Message>(Bytes, Message*)
// NOLINTEND(bugprone-macro-parentheses)
