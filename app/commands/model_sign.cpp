// lockstep model sign | verify
#include <fstream>
#include <iterator>

#include "app/commands/model.h"
#include "models/plan/plan_file.h"
#include "models/plan/signature.h"

namespace lockstep::app {
namespace {

struct Request {
    std::string plan, key, signature, new_key;
    bool force = false;
    bool json = false;
};

Result<std::vector<uint8_t>> read_small(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) return fail(ErrorKind::usage, "cannot open the signature", path, "sign the plan first");
    std::vector<uint8_t> bytes(kSignatureBytes + 1);
    in.read(reinterpret_cast<char*>(bytes.data()), std::streamsize(bytes.size()));
    bytes.resize(size_t(in.gcount()));
    return bytes;
}

int sign(Request r) {
    if ((r.plan.empty() || r.key.empty()) && r.new_key.empty())
        return complain({ErrorKind::usage, "a plan and a key are needed", "",
                         "lockstep model sign PLAN --key NAME.key; --new-key NAME makes one"});
    // Before a key is made that nothing would be signed with.
    const auto plan = r.plan.empty() ? Result<PlanPtr>(nullptr) : load_plan(r.plan);
    if (!plan) return complain(plan.error());
    if (!r.new_key.empty()) {
        const auto id = make_keys(r.new_key);
        if (!id) return complain(id.error());
        say("key " + *id + ": " + r.new_key + ".key is secret, give away " + r.new_key + ".pub only");
        if (r.plan.empty() && r.json)
            print_json({{"key", r.new_key + ".key"}, {"public_key", r.new_key + ".pub"}, {"key_id", *id}});
        if (r.plan.empty()) return kYes;
        if (r.key.empty()) r.key = r.new_key + ".key";
    }
    const auto key = read_secret_key(r.key);
    if (!key) return complain(key.error());
    const std::vector<uint8_t> signature = sign_plan((*plan)->bytes, *key);
    if (r.signature.empty()) r.signature = r.plan + ".sig";
    if (const Status s = write_new(r.signature, signature.data(), signature.size(), r.force); !s)
        return complain(s.error());
    const auto info = read_signature(signature, r.signature);
    if (r.json)
        print_json({{"plan", r.plan},
                    {"plan_id", (*plan)->plan_id},
                    {"signature", r.signature},
                    {"key_id", info->key_id}});
    say(r.signature + ": plan " + (*plan)->plan_id.substr(0, 16) + " signed with key " + info->key_id);
    return kYes;
}

int verify(Request r) {
    const auto plan = load_plan(r.plan);
    if (!plan) return complain(plan.error());
    const auto key = read_public_key(r.key);
    if (!key) return complain(key.error());
    if (r.signature.empty()) r.signature = r.plan + ".sig";
    const auto signature = read_small(r.signature);
    if (!signature) return complain(signature.error());
    const auto info = read_signature(*signature, r.signature);
    if (!info) return complain(info.error());
    const bool other_key = info->signer != *key;
    const bool valid = verify_plan((*plan)->bytes, *signature, *key);
    if (r.json)
        print_json(
            {{"plan", r.plan}, {"plan_id", (*plan)->plan_id}, {"valid", valid}, {"key_id", info->key_id}});
    say(r.plan + (valid       ? ": signed by key " + info->key_id
                  : other_key ? ": signed by another key, " + info->key_id
                              : ": the signature does not fit; the plan is not the one that was signed"));
    return valid ? kYes : kNo;
}

}  // namespace

void add_model_sign(CLI::App& model, Chosen* chosen) {
    const auto r = std::make_shared<Request>();
    CLI::App* s = model.add_subcommand("sign", "Sign a plan (Ed25519); the signature is written beside it");
    s->add_option("plan", r->plan, "NAME.lsplan");
    s->add_option("--key", r->key, "The secret key, NAME.key");
    s->add_option("--new-key", r->new_key, "Make NAME.key and NAME.pub first");
    s->add_option("-o,--output", r->signature, "Instead of PLAN.sig");
    s->add_flag("--force", r->force, "Replace an existing signature");
    s->add_flag("--json", r->json, "One JSON object on standard output");
    s->callback([=] { *chosen = [=] { return sign(*r); }; });

    const auto v_request = std::make_shared<Request>();
    CLI::App* v = model.add_subcommand("verify", "Whether a plan is the one that a key signed: exit 0 or 1");
    v->add_option("plan", v_request->plan, "NAME.lsplan")->required();
    v->add_option("--key", v_request->key, "The public key, NAME.pub")->required();
    v->add_option("--signature", v_request->signature, "Instead of PLAN.sig");
    v->add_flag("--json", v_request->json, "One JSON object on standard output");
    v->callback([=] { *chosen = [=] { return verify(*v_request); }; });
}

}  // namespace lockstep::app
