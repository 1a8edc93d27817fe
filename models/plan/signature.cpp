#include "models/plan/signature.h"

#include <fcntl.h>
#include <sodium.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

namespace lockstep {
namespace {

constexpr char kMagic[8] = {'L', 'S', 'S', 'I', 'G', 'N', 0, 0};
constexpr char kContext[16] = {'l', 'o', 'c', 'k', 's', 't', 'e', 'p', ' ', 'p', 'l', 'a', 'n', ' ', '1', 0};
constexpr char kSecretLine[] = "lockstep-ed25519-secret ";
constexpr char kPublicLine[] = "lockstep-ed25519-public ";

static_assert(sizeof kMagic + 8 + crypto_sign_PUBLICKEYBYTES + crypto_sign_BYTES == kSignatureBytes);

// What is signed: a context, so that no other signature of the key fits, and the plan's id.
std::array<uint8_t, 48> message_of(const std::vector<uint8_t>& plan) {
    std::array<uint8_t, 48> m{};
    memcpy(m.data(), kContext, sizeof kContext);
    crypto_hash_sha256(m.data() + 16, plan.data(), plan.size());
    return m;
}

std::string hex(const uint8_t* bytes, size_t n) {
    std::string out(2 * n + 1, '\0');
    sodium_bin2hex(out.data(), out.size(), bytes, n);
    out.pop_back();
    return out;
}

std::string id_of(const uint8_t* key) {
    uint8_t digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(digest, key, crypto_sign_PUBLICKEYBYTES);
    return hex(digest, 8);
}

Result<std::array<uint8_t, 32>> read_line(const std::string& path, const std::string& head) {
    std::ifstream in(path);
    if (!in) return fail(ErrorKind::usage, "cannot open the key file", path);
    std::string line;
    char c;
    while (line.size() < 200 && in.get(c) && c != '\n')
        line += c;
    std::array<uint8_t, 32> key{};
    size_t n = 0;
    const char* end = nullptr;
    const bool fits =
        line.size() == head.size() + 64 && line.compare(0, head.size(), head) == 0 &&
        sodium_hex2bin(key.data(), key.size(), line.data() + head.size(), 64, nullptr, &n, &end) == 0 &&
        n == key.size();
    sodium_memzero(line.data(), line.size());
    if (!fits)
        return fail(ErrorKind::usage, "not a key file of this kind", path,
                    "it is one line: " + head + "and 64 hex digits");
    return key;
}

Status write_line(const std::string& path, const std::string& text, mode_t mode) {
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (file < 0)
        return fail(errno == EEXIST ? ErrorKind::usage : ErrorKind::system,
                    errno == EEXIST ? "the file exists already" : strerror(errno), path,
                    "choose another name");
    const bool written = ::write(file, text.data(), text.size()) == ssize_t(text.size());
    if (::close(file) != 0 || !written) return fail(ErrorKind::system, "cannot write the file", path);
    return {};
}

}  // namespace

Result<std::string> make_keys(const std::string& name) {
    SecretKey seed{};
    PublicKey open{};
    uint8_t secret[crypto_sign_SECRETKEYBYTES];
    randombytes_buf(seed.data(), seed.size());
    crypto_sign_seed_keypair(open.data(), secret, seed.data());
    sodium_memzero(secret, sizeof secret);
    std::error_code problem;
    if (std::filesystem::exists(name + ".pub", problem))
        return fail(ErrorKind::usage, "the file exists already", name + ".pub", "choose another name");
    const Status s = write_line(name + ".key", kSecretLine + hex(seed.data(), seed.size()) + "\n", 0600);
    sodium_memzero(seed.data(), seed.size());
    if (!s) return tl::make_unexpected(s.error());
    if (const Status p = write_line(name + ".pub", kPublicLine + hex(open.data(), open.size()) + "\n", 0644);
        !p)
        return tl::make_unexpected(p.error());
    return id_of(open.data());
}

Result<SecretKey> read_secret_key(const std::string& path) {
    return read_line(path, kSecretLine);
}

Result<PublicKey> read_public_key(const std::string& path) {
    return read_line(path, kPublicLine);
}

std::vector<uint8_t> sign_plan(const std::vector<uint8_t>& plan, const SecretKey& key) {
    uint8_t secret[crypto_sign_SECRETKEYBYTES];
    PublicKey open{};
    crypto_sign_seed_keypair(open.data(), secret, key.data());
    const auto message = message_of(plan);
    std::vector<uint8_t> out(kSignatureBytes, 0);
    memcpy(out.data(), kMagic, sizeof kMagic);
    out[8] = 1;  // version
    memcpy(out.data() + 16, open.data(), open.size());
    crypto_sign_detached(out.data() + 48, nullptr, message.data(), message.size(), secret);
    sodium_memzero(secret, sizeof secret);
    return out;
}

Result<SignatureInfo> read_signature(const std::vector<uint8_t>& signature, const std::string& where) {
    if (signature.size() != kSignatureBytes || memcmp(signature.data(), kMagic, sizeof kMagic) != 0)
        return fail(ErrorKind::usage, "not a signature file", where, "sign the plan again");
    if (signature[8] != 1 || signature[9] != 0)
        return fail(ErrorKind::usage, "a signature of a newer version", where, "update Lockstep");
    SignatureInfo info;
    memcpy(info.signer.data(), signature.data() + 16, info.signer.size());
    info.key_id = id_of(info.signer.data());
    return info;
}

bool verify_plan(const std::vector<uint8_t>& plan, const std::vector<uint8_t>& signature,
                 const PublicKey& key) {
    const auto info = read_signature(signature, "");
    if (!info || info->signer != key) return false;
    const auto message = message_of(plan);
    return crypto_sign_verify_detached(signature.data() + 48, message.data(), message.size(), key.data()) ==
           0;
}

}  // namespace lockstep
