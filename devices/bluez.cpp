#include "devices/bluez.h"

#include <fcntl.h>
#include <systemd/sd-bus.h>

#include <cstring>
#include <map>
#include <memory>

namespace lockstep {
namespace {

constexpr char kService[] = "org.bluez";
constexpr int kCallTimeoutMs = 3000;

using Message = std::unique_ptr<sd_bus_message, sd_bus_message* (*)(sd_bus_message*)>;

Message own(sd_bus_message* message) {
    return {message, sd_bus_message_unref};
}

// What sd-bus says when a call fails, and how it is told.
class BusError {
  public:
    BusError() = default;
    BusError(const BusError&) = delete;
    BusError& operator=(const BusError&) = delete;
    ~BusError() { sd_bus_error_free(&error_); }
    sd_bus_error* out() { return &error_; }
    tl::unexpected<Error> told(const std::string& what, int code, const std::string& where) const {
        if (sd_bus_error_has_name(&error_, SD_BUS_ERROR_SERVICE_UNKNOWN) != 0 ||
            sd_bus_error_has_name(&error_, SD_BUS_ERROR_NAME_HAS_NO_OWNER) != 0)
            return fail(ErrorKind::device, "the computer's Bluetooth service does not run", where,
                        "install bluez and start it: systemctl start bluetooth");
        const std::string why =
            error_.message != nullptr && *error_.message != '\0' ? error_.message : std::strerror(-code);
        return fail(ErrorKind::device, what + ": " + why, where);
    }

  private:
    sd_bus_error error_{};
};

int read_string(sd_bus_message* m, const char* type, std::string* out) {
    const char* text = nullptr;
    const int code = sd_bus_message_read(m, "v", type, &text);
    if (code >= 0 && text != nullptr) *out = text;
    return code;
}

int read_flag(sd_bus_message* m, bool* out) {
    int flag = 0;
    const int code = sd_bus_message_read(m, "v", "b", &flag);
    *out = flag != 0;
    return code;
}

int read_strings(sd_bus_message* m, std::vector<std::string>* out) {
    int code = sd_bus_message_enter_container(m, 'v', "as");
    if (code >= 0) code = sd_bus_message_enter_container(m, 'a', "s");
    const char* text = nullptr;
    while (code >= 0 && (code = sd_bus_message_read(m, "s", &text)) > 0)
        out->emplace_back(text);
    if (code >= 0) code = sd_bus_message_exit_container(m);
    if (code >= 0) code = sd_bus_message_exit_container(m);
    return code;
}

int read_property(sd_bus_message* m, BluezObject* object) {
    const char* name = nullptr;
    int code = sd_bus_message_enter_container(m, 'e', "sv");
    if (code <= 0) return code;
    code = sd_bus_message_read(m, "s", &name);
    if (code < 0) return code;
    const std::map<std::string, std::string*> texts = {
        {"Address", &object->address}, {"Alias", &object->name}, {"UUID", &object->uuid}};
    const std::map<std::string, bool*> flags = {{"Powered", &object->powered},
                                                {"Connected", &object->connected},
                                                {"ServicesResolved", &object->resolved}};
    if (const auto text = texts.find(name); text != texts.end())
        code = read_string(m, "s", text->second);
    else if (const auto flag = flags.find(name); flag != flags.end())
        code = read_flag(m, flag->second);
    else if (std::strcmp(name, "UUIDs") == 0)
        code = read_strings(m, &object->uuids);
    else
        code = sd_bus_message_skip(m, "v");
    if (code >= 0) code = sd_bus_message_exit_container(m);
    return code < 0 ? code : 1;
}

int read_interface(sd_bus_message* m, const std::string& path, std::vector<BluezObject>* out) {
    const char* name = nullptr;
    int code = sd_bus_message_enter_container(m, 'e', "sa{sv}");
    if (code <= 0) return code;
    code = sd_bus_message_read(m, "s", &name);
    if (code < 0) return code;
    BluezObject object;
    object.path = path;
    object.interface = name;
    code = sd_bus_message_enter_container(m, 'a', "{sv}");
    while (code >= 0 && (code = read_property(m, &object)) > 0) {
    }
    if (code >= 0) code = sd_bus_message_exit_container(m);
    if (code >= 0) code = sd_bus_message_exit_container(m);
    out->push_back(std::move(object));
    return code < 0 ? code : 1;
}

int read_object(sd_bus_message* m, std::vector<BluezObject>* out) {
    const char* path = nullptr;
    int code = sd_bus_message_enter_container(m, 'e', "oa{sa{sv}}");
    if (code <= 0) return code;
    code = sd_bus_message_read(m, "o", &path);
    if (code < 0) return code;
    code = sd_bus_message_enter_container(m, 'a', "{sa{sv}}");
    while (code >= 0 && (code = read_interface(m, path, out)) > 0) {
    }
    if (code >= 0) code = sd_bus_message_exit_container(m);
    if (code >= 0) code = sd_bus_message_exit_container(m);
    return code < 0 ? code : 1;
}

}  // namespace

Bluez::~Bluez() {
    sd_bus_flush_close_unref(bus_);
}

Status Bluez::open(const std::string& where) {
    where_ = where;
    const int code = sd_bus_open_system(&bus_);
    if (code < 0)
        return fail(ErrorKind::device,
                    std::string("no connection to the system message bus: ") + std::strerror(-code), where_,
                    "Bluetooth needs dbus and bluez; or connect the board by cable");
    return {};
}

Result<std::vector<BluezObject>> Bluez::objects() {
    BusError error;
    sd_bus_message* request = nullptr;
    sd_bus_message* reply = nullptr;
    int code = sd_bus_message_new_method_call(bus_, &request, kService, "/",
                                              "org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
    const Message asked = own(request);
    // Asked every other second while a window looks for devices: a service that is not there must not be
    // started each time, one that hangs must not hold anybody up.
    if (code >= 0) code = sd_bus_message_set_auto_start(request, 0);
    if (code >= 0) code = sd_bus_call(bus_, request, kCallTimeoutMs * 1000, error.out(), &reply);
    const Message owned = own(reply);
    if (code < 0) return error.told("cannot ask for the Bluetooth devices", code, where_);
    std::vector<BluezObject> out;
    code = sd_bus_message_enter_container(reply, 'a', "{oa{sa{sv}}}");
    while (code >= 0 && (code = read_object(reply, &out)) > 0) {
    }
    if (code < 0) return error.told("the Bluetooth service's answer makes no sense", code, where_);
    return out;
}

Status Bluez::call(const std::string& path, const char* interface, const char* method, int timeout_ms) {
    BusError error;
    sd_bus_message* request = nullptr;
    int code = sd_bus_message_new_method_call(bus_, &request, kService, path.c_str(), interface, method);
    const Message owned = own(request);
    if (code >= 0) code = sd_bus_call(bus_, request, uint64_t(timeout_ms) * 1000, error.out(), nullptr);
    if (code < 0) return error.told(std::string(method) + " failed", code, where_);
    return {};
}

Status Bluez::start_discovery(const std::string& adapter) {
    BusError error;
    // A filter that fails finds more than it should, which does no harm.
    sd_bus_call_method(bus_, kService, adapter.c_str(), "org.bluez.Adapter1", "SetDiscoveryFilter", nullptr,
                       nullptr, "a{sv}", 1, "Transport", "s", "le");
    return call(adapter, "org.bluez.Adapter1", "StartDiscovery", kCallTimeoutMs);
}

Result<BluezSocket> Bluez::acquire(const std::string& characteristic, const char* method) {
    BusError error;
    sd_bus_message* reply = nullptr;
    int code = sd_bus_call_method(bus_, kService, characteristic.c_str(), "org.bluez.GattCharacteristic1",
                                  method, error.out(), &reply, "a{sv}", 0);
    const Message owned = own(reply);
    if (code < 0) return error.told(std::string(method) + " failed", code, where_);
    int fd = -1;
    uint16_t mtu = 0;
    code = sd_bus_message_read(reply, "hq", &fd, &mtu);
    if (code < 0) return error.told(std::string(method) + " gave no socket", code, where_);
    // The message owns its descriptor.
    const BluezSocket socket{fcntl(fd, F_DUPFD_CLOEXEC, 3), mtu};
    if (socket.fd < 0) return error.told(std::string(method) + " gave no socket", -errno, where_);
    const int flags = fcntl(socket.fd, F_GETFL);
    fcntl(socket.fd, F_SETFL, flags | O_NONBLOCK);
    return socket;
}

Result<std::string> find_adapter(const std::vector<BluezObject>& objects, const std::string& where) {
    bool any = false;
    for (const BluezObject& object : objects) {
        if (object.interface != "org.bluez.Adapter1") continue;
        if (object.powered) return object.path;
        any = true;
    }
    if (any)
        return fail(ErrorKind::device, "Bluetooth is switched off", where,
                    "switch it on: bluetoothctl power on");
    return fail(ErrorKind::device, "this computer has no Bluetooth radio", where,
                "connect the board by cable, or through a bridge with tcp:HOST:PORT");
}

}  // namespace lockstep
