package plugin

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// modeVar makes the test binary a worker in place of a test.
const modeVar = "DSPEX_TEST_WORKER"

func TestMain(m *testing.M) {
	if mode := os.Getenv(modeVar); mode != "" {
		workerMain(mode)
		return
	}
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
