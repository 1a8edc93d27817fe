"""A Bluetooth service for the tests: BlueZ's objects on a private message bus, and behind the one UART device
a TCP port, on which the real firmware talks. Packets have the size and the pace of a BLE link.

    bluetooth_service.py PORT [--powered 0|1] [--known 0|1] [--uart 0|1]      prints 'ready'
"""
import argparse
import os
import signal
import socket
import threading
import time

import dbus
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

ADDRESS = "C0:FF:EE:00:12:34"
ADAPTER = "/org/bluez/hci0"
DEVICE = ADAPTER + "/dev_C0_FF_EE_00_12_34"
SERVICE = DEVICE + "/service0010"
UART = "6e40000%d-b5a3-f393-e0a9-e50e24dcca9e"
MTU = 247
INTERVAL = 0.015  # s, of the connection
PACKETS = 6  # in one interval


class Failed(dbus.DBusException):
    _dbus_error_name = "org.bluez.Error.Failed"


class Object(dbus.service.Object):
    def __init__(self, bus, path, interface, **properties):
        super().__init__(bus, path)
        self.path, self.interface, self.properties = path, interface, properties


class Adapter(Object):
    searching = False

    @dbus.service.method("org.bluez.Adapter1", in_signature="a{sv}")
    def SetDiscoveryFilter(self, wanted):
        assert wanted["Transport"] == "le"

    @dbus.service.method("org.bluez.Adapter1")
    def StartDiscovery(self):
        self.searching = True

    @dbus.service.method("org.bluez.Adapter1")
    def StopDiscovery(self):
        self.searching = False


class Device(Object):
    @dbus.service.method("org.bluez.Device1")
    def Connect(self):
        self.properties["Connected"] = True
        GLib.timeout_add(300, self.resolve)

    def resolve(self):
        self.properties["ServicesResolved"] = True

    @dbus.service.method("org.bluez.Device1")
    def Disconnect(self):
        self.properties["Connected"] = self.properties["ServicesResolved"] = False
        for characteristic in Characteristic.all:
            characteristic.hang_up()


class Characteristic(Object):
    """One direction of the line, as packets of at most MTU - 3 bytes."""
    all = []
    line = None

    def __init__(self, bus, path, uuid, port):
        super().__init__(bus, path, "org.bluez.GattCharacteristic1", UUID=uuid)
        self.port, self.end = port, None
        Characteristic.all.append(self)

    def acquire(self, carry):
        if Characteristic.line is None:
            Characteristic.line = socket.create_connection(("127.0.0.1", self.port))
        self.end, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        threading.Thread(target=carry, daemon=True).start()
        descriptor = dbus.types.UnixFd(theirs)
        theirs.close()
        return descriptor, dbus.UInt16(MTU)

    def hang_up(self):
        if self.end is not None:
            self.end.shutdown(socket.SHUT_RDWR)
            self.end = None
        if Characteristic.line is not None:
            Characteristic.line.close()
            Characteristic.line = None

    @dbus.service.method("org.bluez.GattCharacteristic1", in_signature="a{sv}", out_signature="hq")
    def AcquireWrite(self, _options):
        return self.acquire(self.to_device)

    @dbus.service.method("org.bluez.GattCharacteristic1", in_signature="a{sv}", out_signature="hq")
    def AcquireNotify(self, _options):
        return self.acquire(self.from_device)

    def to_device(self):
        end, line = self.end, Characteristic.line
        try:
            while packet := end.recv(65536):
                assert len(packet) <= MTU - 3, "a packet longer than the link carries"
                line.sendall(packet)
        except OSError:  # hung up
            return

    def from_device(self):
        end, line = self.end, Characteristic.line
        while True:
            time.sleep(INTERVAL)
            try:
                data = line.recv(PACKETS * (MTU - 3))
                if not data:
                    return
                for i in range(0, len(data), MTU - 3):
                    end.send(data[i:i + MTU - 3])
            except OSError:  # hung up
                return


class Service(dbus.service.Object):
    def __init__(self, bus, adapter, objects, known):
        super().__init__(bus, "/")
        self.adapter, self.objects, self.known = adapter, objects, known

    @dbus.service.method("org.freedesktop.DBus.ObjectManager", out_signature="a{oa{sa{sv}}}")
    def GetManagedObjects(self):
        self.known = self.known or self.adapter.searching
        seen = [self.adapter] + (self.objects if self.known else [])
        return {o.path: {o.interface: dbus.Dictionary(o.properties, signature="sv")} for o in seen}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    for name in ("powered", "known", "uart"):
        parser.add_argument("--" + name, type=int, default=1)
    o = parser.parse_args()
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    bus = dbus.bus.BusConnection(os.environ["DBUS_SYSTEM_BUS_ADDRESS"])
    name = dbus.service.BusName("org.bluez", bus)
    adapter = Adapter(bus, ADAPTER, "org.bluez.Adapter1", Powered=bool(o.powered), Address="00:11:22:33:44:55")
    device = Device(bus, DEVICE, "org.bluez.Device1", Address=ADDRESS, Alias="Band", Connected=False,
                    ServicesResolved=False, UUIDs=dbus.Array([UART % 1], signature="s"), RSSI=dbus.Int16(-60))
    objects = [device, Object(bus, SERVICE, "org.bluez.GattService1", UUID=UART % 1)]
    for number, what in ((2, "char0011"), (3, "char0013")) if o.uart else ():
        objects.append(Characteristic(bus, SERVICE + "/" + what, UART % number, o.port))
    service = Service(bus, adapter, objects, bool(o.known))
    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGUSR1, lambda: device.Disconnect() or True)
    print("ready", flush=True)
    GLib.MainLoop().run()
    del name, service


if __name__ == "__main__":
    main()
