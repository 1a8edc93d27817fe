// Signatures of plans (docs/model_format.md, "Signature"): Ed25519 (RFC 8032) over the SHA-256 of the plan,
// in a file of 112 bytes beside it, NAME.lsplan.sig. Key files are one line of text. Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "acquisition/error.h"

namespace lockstep {

constexpr size_t kSignatureBytes = 112;

using SecretKey = std::array<uint8_t, 32>;  // RFC 8032's secret; wiped by nobody, so keep it short-lived
using PublicKey = std::array<uint8_t, 32>;

// What a signature says before anybody asks whether it is right.
struct SignatureInfo {
    PublicKey signer{};
    std::string key_id;  // 16 hex digits: SHA-256 of the public key, first 8 bytes
};

// Writes NAME.key (readable by its owner only) and NAME.pub; neither may exist. Gives the key id.
Result<std::string> make_keys(const std::string& name);
Result<SecretKey> read_secret_key(const std::string& path);
Result<PublicKey> read_public_key(const std::string& path);

std::vector<uint8_t> sign_plan(const std::vector<uint8_t>& plan, const SecretKey& key);
// Whether the bytes have the form of a signature at all.
Result<SignatureInfo> read_signature(const std::vector<uint8_t>& signature, const std::string& where);
// Whether `key` signed exactly these bytes.
bool verify_plan(const std::vector<uint8_t>& plan, const std::vector<uint8_t>& signature,
                 const PublicKey& key);

}  // namespace lockstep
