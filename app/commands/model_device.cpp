// lockstep model push, list, activate, rollback: the plans on a device.
#include <cstdio>
#include <filesystem>

#include "app/base/devices.h"
#include "app/commands/model.h"
#include "models/plan/plan_file.h"
#include "models/plan/signature.h"

namespace lockstep::app {
namespace {

struct Request {
    std::string uri, plan, signature;
    bool activate = false;
    bool json = false;
};

// An opened device that runs plans.
struct Opened {
    std::unique_ptr<Driver> driver;
    DeviceModels* models = nullptr;
};

// What a driver reports while no session listens.
class Unheard final : public DriverEvents {
    void on_started(const DeviceInfo&, uint8_t, const std::string&) override {}
    void on_data(int, uint8_t, uint32_t, uint64_t, int64_t, uint16_t, bool, std::vector<int32_t>) override {}
    void on_prediction(const wire::Prediction&, int64_t) override {}
    void on_health(const wire::Health&, int64_t) override {}
    void on_marker(const wire::Marker&, int64_t) override {}
    void on_clock(const ClockObservation&) override {}
    void on_link(LinkEventKind, uint64_t, const std::string&, int64_t) override {}
    void on_stopped(const std::vector<wire::StreamHealth>&, const std::string&, int64_t) override {}
};

Result<Opened> open_models(const std::string& uri, DriverEvents* events) {
    Opened out;
    auto driver = make_device(uri);
    if (!driver) return tl::make_unexpected(driver.error());
    const auto info = (*driver)->open(events);
    if (!info) return tl::make_unexpected(info.error());
    out.driver = std::move(*driver);
    out.models = out.driver->models();
    if (out.models == nullptr)
        return fail(ErrorKind::usage, "this kind of device runs no plans", uri,
                    "use a board with Lockstep's firmware");
    return out;
}

std::array<uint8_t, 32> bytes_of(const std::string& id) {
    std::array<uint8_t, 32> out{};
    for (size_t i = 0; i < out.size(); ++i)
        out[i] = uint8_t(std::stoul(id.substr(2 * i, 2), nullptr, 16));
    return out;
}

// The signature beside the plan, or the one that was named.
Result<std::optional<std::array<uint8_t, 64>>> signature_of(const Request& r) {
    const std::string path = r.signature.empty() ? r.plan + ".sig" : r.signature;
    std::error_code error;
    if (r.signature.empty() && !std::filesystem::exists(path, error)) return std::nullopt;
    const auto bytes = read_model_file(path);
    if (!bytes) return tl::make_unexpected(bytes.error());
    const auto info = read_signature(*bytes, path);
    if (!info) return tl::make_unexpected(info.error());
    if (!verify_plan((*load_plan(r.plan))->bytes, *bytes, info->signer))
        return fail(ErrorKind::usage, "this is the signature of another plan", path,
                    "sign again: lockstep model sign " + r.plan + " --key NAME.key");
    std::array<uint8_t, 64> out{};
    std::copy(bytes->end() - 64, bytes->end(), out.begin());
    return std::optional(out);
}

int push(const Request& r) {
    const auto plan = load_plan(r.plan);
    if (!plan) return complain(plan.error());
    const auto signature = signature_of(r);
    if (!signature) return complain(signature.error());
    Unheard events;
    auto device = open_models(r.uri, &events);
    if (!device) return complain(device.error());
    PlanTransfer transfer;
    transfer.plan = (*plan)->bytes;
    transfer.plan_id = bytes_of((*plan)->plan_id);
    transfer.signature = *signature;
    const auto line = std::make_shared<Progress>();
    transfer.progress = [line](double share) {
        line->show(std::to_string(int(share * 100)) + " %");
        return !interrupted();
    };
    const Status pushed = device->models->push(transfer);
    line->clear();
    if (!pushed) return complain(pushed.error());
    const std::string what = (*plan)->plan.name() + (" " + (*plan)->plan_id.substr(0, 16));
    int place = -1;
    if (r.activate) {
        const auto activated = device->models->activate(transfer.plan_id);
        if (!activated) return complain(activated.error());
        place = *activated;
    }
    if (r.json)
        print_json(
            {{"device", r.uri}, {"plan_id", (*plan)->plan_id}, {"running", r.activate}, {"model", place}});
    say(r.uri + ": " + what +
        (r.activate ? " runs as model " + std::to_string(place)
                    : " is stored and checked; 'lockstep model activate " + r.uri + " " +
                          (*plan)->plan_id.substr(0, 16) + "' runs it"));
    // Its emulator ends with this program, and the plan with its memory.
    if (r.uri.compare(0, 8, "virtual:") == 0)
        say("lockstep: this virtual board ended with the command; keep one running, and push to its port: "
            "lockstep "
            "firmware run " +
            r.uri.substr(8, r.uri.find('?') - 8) +
            " --pty-link board, then: lockstep model push serial:board " + r.plan);
    return kYes;
}

int list(const Request& r) {
    Unheard events;
    auto device = open_models(r.uri, &events);
    if (!device) return complain(device.error());
    const auto plans = device->models->list();
    if (!plans) return complain(plans.error());
    Json rows = Json::array();
    for (const StoredPlan& p : plans->plans) {
        rows.push_back({{"plan_id", p.plan_id},
                        {"name", p.name},
                        {"bytes", p.bytes},
                        {"built_in", p.built_in},
                        {"previous", p.previous},
                        {"model", p.place}});
        if (!r.json)
            std::printf("%s  %-16s %8u bytes  %s%s%s\n", p.plan_id.substr(0, 16).c_str(), p.name.c_str(),
                        p.bytes, p.built_in ? "built in" : "pushed",
                        p.place >= 0 ? (", runs as model " + std::to_string(p.place)).c_str() : "",
                        p.previous ? ", before the last change" : "");
    }
    if (r.json)
        print_json({{"device", r.uri},
                    {"largest", plans->largest},
                    {"signed_only", plans->signed_only},
                    {"plans", rows}});
    return kYes;
}

// A file, or the first digits of an id that the device lists.
Result<std::string> find_plan(const std::string& text, DeviceModels* models) {
    std::error_code error;
    if (std::filesystem::exists(text, error)) {
        const auto plan = load_plan(text);
        if (!plan) return tl::make_unexpected(plan.error());
        return (*plan)->plan_id;
    }
    const auto plans = models->list();
    if (!plans) return tl::make_unexpected(plans.error());
    std::string found;
    for (const StoredPlan& p : plans->plans) {
        if (p.plan_id.compare(0, text.size(), text) != 0 && p.name != text) continue;
        if (!found.empty() && found != p.plan_id)
            return fail(ErrorKind::usage, "several plans fit", text, "give more digits of the id");
        found = p.plan_id;
    }
    if (found.empty())
        return fail(ErrorKind::usage, "the device has no such plan", text,
                    "'lockstep model list URI' lists them");
    return found;
}

int change(const Request& r, bool back) {
    Unheard events;
    auto device = open_models(r.uri, &events);
    if (!device) return complain(device.error());
    Result<int> place = 0;
    if (back) {
        place = device->models->rollback();
    } else {
        const auto id = find_plan(r.plan, device->models);
        if (!id) return complain(id.error());
        place = device->models->activate(bytes_of(*id));
    }
    if (!place) return complain(place.error());
    if (r.json) print_json({{"device", r.uri}, {"model", *place}});
    say(r.uri + ": model " + std::to_string(*place) + (back ? " is what it was before" : " runs the plan"));
    return kYes;
}

}  // namespace

void add_model_device(CLI::App& model, Chosen* chosen) {
    const auto r = std::make_shared<Request>();
    CLI::App* p =
        model.add_subcommand("push", "Send a plan to a device, which checks it before a byte is used");
    p->add_option("uri", r->uri, "Device")->required();
    p->add_option("plan", r->plan, "NAME.lsplan; its signature NAME.lsplan.sig goes with it")->required();
    p->add_option("--signature", r->signature, "Signature file of another name");
    p->add_flag("--activate", r->activate, "Run it at once");
    p->callback([=] { *chosen = [=] { return push(*r); }; });
    CLI::App* l = model.add_subcommand("list", "The plans on a device");
    l->add_option("uri", r->uri, "Device")->required();
    l->callback([=] { *chosen = [=] { return list(*r); }; });
    CLI::App* a =
        model.add_subcommand("activate", "Run a plan of the device's in place of the model of its name");
    a->add_option("uri", r->uri, "Device")->required();
    a->add_option("plan", r->plan, "File, name, or first digits of the id")->required();
    a->callback([=] { *chosen = [=] { return change(*r, false); }; });
    CLI::App* b = model.add_subcommand("rollback", "Undo the device's last change of models");
    b->add_option("uri", r->uri, "Device")->required();
    b->callback([=] { *chosen = [=] { return change(*r, true); }; });
    for (CLI::App* command : {p, l, a, b})
        command->add_flag("--json", r->json, "One JSON object on standard output");
}

}  // namespace lockstep::app
