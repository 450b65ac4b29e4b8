//go:build linux

package main

import (
	"strings"
	"testing"
)

const partConfig = `
apps:
  web:
    command: [$MEMBER]
    listen: ["127.0.0.1:0"]
    workers: 1
    $FAST
  job:
    command: [sh, -c, "exit 3"]
    oneshot: true
    start_limit: 2
    backoff: {base: 10ms}
`

// An app that depends on a failed job is not started: start names it, and fails, and the rest runs. A failed job without
// such an app is only shown.
func TestStartOfWhatCannotAllRun(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	write(t, sh.dir, "tine.yaml", partConfig+"  api:\n    command: [$MEMBER]\n    workers: 1\n    depends_on: {job: exited}\n")
	out, text := sh.do(1, "start", "-c", "tine.yaml")
	has(t, out, "1 of 1 ready on 127.0.0.1:", "job        gave up: ", "api        not started: job has failed")
	has(t, text, "runs, but not all of it: api: not started: job has failed: ")
	for _, a := range sh.status().Apps {
		if a.Failed != (a.Name != "web") {
			t.Errorf("%s: failed is %v", a.Name, a.Failed)
		}
	}
	sh.do(0, "stop")

	write(t, sh.dir, "tine.yaml", partConfig)
	out, _ = sh.do(0, "start", "-c", "tine.yaml")
	has(t, out, "1 of 1 ready on 127.0.0.1:", "job ")
	sh.do(0, "stop")
}

// What would be in the log only is shown: that nothing listens, most of all.
func TestStartWarns(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	_, text := sh.do(0, "start", "--name", "quiet", "-n", "1", "--", memberPath)
	has(t, text, "tine: warning: nothing listens: no -l was given")
	sh.do(0, "stop")
	_, text = sh.do(0, "start", "--name", "loud", "-l", "127.0.0.1:0", "-n", "1", "--", memberPath)
	if strings.Contains(text, "nothing listens") {
		t.Errorf("of what listens it says %q", text)
	}
	sh.do(0, "stop")
}
