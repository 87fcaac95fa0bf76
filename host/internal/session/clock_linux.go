package session

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// systemBoot reads the time since boot, suspends included.
func systemBoot() (bootTime, bool) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return bootTime{}, false
	}
	// A container may have a time namespace with a boot time of its own.
	namespace, err := os.Readlink("/proc/self/ns/time")
	if err != nil && !os.IsNotExist(err) {
		return bootTime{}, false
	}
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return bootTime{}, false
	}
	return bootTime{strings.TrimSpace(string(id)) + " " + namespace, time.Duration(t.Nano())}, true
}
