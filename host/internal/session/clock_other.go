//go:build !linux

package session

// systemBoot knows no boot time here: after a restart of the process, wall
// time decides.
func systemBoot() (bootTime, bool) { return bootTime{}, false }
