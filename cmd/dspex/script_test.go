package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptEnv are the variables that a background program gets from its script.
var scriptEnv = []string{
	"PATH", "HOME", "TMPDIR", "WORK", "NO_COLOR", "XDG_STATE_HOME", "GORACE",
	"DSPEX_ADDR", "DSPEX_DATA_DIR", "DSPEX_RUN_DIR",
}

// TestScripts runs the scripts of testdata/script. They have, beside what
// testscript offers:
//
//	host                     serve a fakeHost, and set DSPEX_ADDR to it
//	exits CODE PROGRAM...    run a program that must exit with a code
//	background FILE PROGRAM  start a program whose output goes to a file
//	await FILE TEXT          wait until a file has a text in it
//	signal NAME              send a signal to the background program
//	ended CODE               wait for its end, which must be with an exit code
//	asks FILE PATH TEXT      the URL in a file, with a path, must answer with a text
//	noworkers                no process of this script may be left
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("DSPEX_DATA_DIR", filepath.Join(env.WorkDir, "data"))
			env.Setenv("DSPEX_RUN_DIR", filepath.Join(env.WorkDir, "r"))
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
			env.Setenv("NO_COLOR", "1")
			// The race detector sleeps for a second at the end of each program.
			env.Setenv("GORACE", "atexit_sleep_ms=10")
			env.Values[backgroundKey{}] = &background{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"host": func(ts *testscript.TestScript, _ bool, _ []string) {
				addr, stop, err := serveFake(newFakeHost())
				ts.Check(err)
				ts.Defer(stop)
				ts.Setenv("DSPEX_ADDR", addr)
			},
			"exits":      exits,
			"background": startBackground,
			"await": func(ts *testscript.TestScript, _ bool, args []string) {
				awaitText(ts, ts.MkAbs(args[0]), args[1])
			},
			"signal": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(backgroundOf(ts).cmd.Process.Signal(signalNamed(ts, args[0])))
			},
			"ended": ended,
			"asks":  asks,
			"noworkers": func(ts *testscript.TestScript, _ bool, _ []string) {
				if left := leftovers(ts.Getenv("WORK") + "/"); len(left) > 0 {
					ts.Fatalf("processes are left: %s", left)
				}
			},
		},
	})
}

type backgroundKey struct{}

// background is the program that a script has started, if any.
type background struct {
	cmd  *exec.Cmd
	done chan struct{}
}

func backgroundOf(ts *testscript.TestScript) *background {
	b := ts.Value(backgroundKey{}).(*background)
	if b.cmd == nil {
		ts.Fatalf("there is no background program")
	}
	return b
}

func startBackground(ts *testscript.TestScript, _ bool, args []string) {
	out, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	path, err := exec.LookPath(args[1])
	ts.Check(err)
	b := ts.Value(backgroundKey{}).(*background)
	b.cmd, b.done = exec.Command(path, args[2:]...), make(chan struct{})
	b.cmd.Dir, b.cmd.Stdout, b.cmd.Stderr = ts.MkAbs("."), out, out
	for _, name := range scriptEnv {
		if v := ts.Getenv(name); v != "" {
			b.cmd.Env = append(b.cmd.Env, name+"="+v)
		}
	}
	ts.Check(b.cmd.Start())
	go func() {
		_ = b.cmd.Wait() // its exit code is looked at by ended
		_ = out.Close()
		close(b.done)
	}()
	ts.Defer(func() {
		_ = b.cmd.Process.Kill()
		<-b.done
	})
}

func ended(ts *testscript.TestScript, _ bool, args []string) {
	b := backgroundOf(ts)
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	select {
	case <-b.done:
	case <-time.After(patience):
		ts.Fatalf("the background program did not end")
	}
	if got := b.cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("exit code %d (%s), want %d", got, b.cmd.ProcessState, want)
	}
}

func signalNamed(ts *testscript.TestScript, name string) os.Signal {
	s, ok := map[string]os.Signal{"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "TERM": syscall.SIGTERM}[name]
	if !ok {
		ts.Fatalf("there is no signal %q here", name)
	}
	return s
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		failed := new(exec.ExitError)
		if !errors.As(err, &failed) {
			ts.Fatalf("%v", err)
		}
		got = failed.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d\nstdout: %s\nstderr: %s", got, want, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// awaitText waits until a file has a text. There is nothing to wait on but the
// file itself.
func awaitText(ts *testscript.TestScript, path, text string) {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(patience)
	for {
		raw, _ := os.ReadFile(path)
		if bytes.Contains(raw, []byte(text)) {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			ts.Fatalf("%s never had %q in it:\n%s", path, text, raw)
		}
	}
}

var urlPattern = regexp.MustCompile(`http://\S+`)

func asks(ts *testscript.TestScript, _ bool, args []string) {
	url := urlPattern.FindString(ts.ReadFile(args[0]))
	resp, err := http.Get(url + args[1])
	ts.Check(err)
	defer resp.Body.Close() //nolint:errcheck // it was only read
	raw, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if !strings.Contains(string(raw), args[2]) {
		ts.Fatalf("%s%s answers %s, want %s in it", url, args[1], raw, args[2])
	}
}
