package integration

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestImportThatStartsAThreadFallsBackToExec(t *testing.T) {
	t.Parallel()
	needPython(t)
	s := ready(t, strings.Replace(acme(t, ""), "acme.workers", "acme.threads", 1))
	s.log.match(t, "no fork server.*started 1 threads")
	if got := number(t, s.call("qa", "threads", nil)); got < 2 {
		t.Errorf("threads = %d, want the module's own beside the main one", got)
	}
	for _, w := range s.workers("qa") {
		if w["launch"] != "exec" {
			t.Errorf("worker %v was started by %v, want exec", w["id"], w["launch"])
		}
	}
}

func TestForkServerKilled(t *testing.T) {
	t.Parallel()
	needPython(t)
	s := ready(t, acme(t, ""))
	pid, err := strconv.Atoi(s.log.match(t, `fork server ready.*"pid":(\d+)`)[1])
	if err != nil {
		t.Fatal(err)
	}
	before := s.workers("qa")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// Running workers go on.
	s.call("qa", "greet", map[string]string{"name": "Ada"})
	for i, w := range s.workers("qa") {
		if w["pid"] != before[i]["pid"] || w["launch"] != "fork" {
			t.Errorf("worker %v: %v, was %v", w["id"], w, before[i])
		}
	}
	// A worker that is lost gets its next process from a new fork server.
	if err := syscall.Kill(number(t, before[0]["pid"]), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.until("the worker has a new process", func() bool {
		w := s.workers("qa")[0]
		return w["state"] == "ready" && w["pid"] != before[0]["pid"]
	})
	if w := s.workers("qa")[0]; w["launch"] != "fork" {
		t.Errorf("the new process was started by %v, want fork", w["launch"])
	}
}

// TestForkedWorkersDiffer: random numbers do not repeat over workers, and no
// descriptor is shared between them.
func TestForkedWorkersDiffer(t *testing.T) {
	t.Parallel()
	needPython(t)
	s := ready(t, acme(t, ""))
	seen := map[string]bool{}
	workers := map[any]bool{}
	s.until("both workers have answered", func() bool {
		answer := s.call("qa", "chance", nil).(map[string]any)
		workers[answer["worker"]] = true
		for _, key := range []string{"random", "uuid"} {
			text := string(mustJSON(answer[key]))
			if seen[text] {
				t.Fatalf("%s repeats", key)
			}
			seen[text] = true
		}
		for _, target := range answer["files"].([]any) {
			if text := target.(string); strings.Contains(text, "host.lock") || strings.Contains(text, "dspex.db") {
				t.Fatalf("the worker has the host's %s open", text)
			}
		}
		return len(workers) == 2
	})
}
