//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

// TestDoctorAs: for each user, the kind of steering that doctor promises is the kind
// that an app of the same user gets. It leaves nothing.
func TestDoctorAs(t *testing.T) {
	for _, who := range []struct {
		name, kind string
		uid        int
		fenced     bool
		opts       []option
	}{
		{name: "root", kind: "ebpf"},
		{name: "nobody", kind: "cbpf", uid: 65534, opts: []option{asUser(65534)}},
		{name: "refused", kind: "cbpf", fenced: true},
	} {
		t.Run(who.name, func(t *testing.T) {
			t.Parallel()
			if os.Getuid() != 0 {
				t.Skipf("SKIPPED: %s: needs root, to be several users", t.Name())
			}
			program := tinePath
			if who.fenced {
				var err error
				if program, err = fencedPart(); err != nil {
					t.Fatal(err)
				}
			}
			temporary := folder(t)
			c := exec.Command(program, "doctor", "--json")
			c.Env = append(os.Environ(), "TMPDIR="+temporary)
			for _, o := range who.opts {
				o(c)
			}
			var stdout, stderr bytes.Buffer
			c.Stdout, c.Stderr = &stdout, &stderr
			if err := c.Run(); err != nil {
				t.Fatalf("%v: %s", err, stderr.Bytes())
			}
			var d diagnosis
			only := json.NewDecoder(bytes.NewReader(stdout.Bytes()))
			only.DisallowUnknownFields()
			if err := only.Decode(&d); err != nil || only.More() {
				t.Fatalf("that is not one document: %v: %s", err, stdout.Bytes())
			}
			if d.UID != who.uid || d.CPUs < 1 || d.Workers < 1 || d.Kernel == "" || len(d.Capabilities) < 3 {
				t.Errorf("something is missing: %s", stdout.Bytes())
			}
			for _, c := range d.Capabilities {
				if c.Name == "" || c.Detail == "" || !c.OK && c.Needs == "" {
					t.Errorf("%+v does not say what was found, or what is needed", c)
				}
			}
			if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
				t.Errorf("it left %v, %v", left, err)
			}

			var m *tine
			if config := steered(1, "$FAST"); who.fenced {
				m = startFenced(t, config)
			} else {
				m = startReady(t, config, who.opts...)
			}
			if e := m.await(is("starting")); e.Steering != d.Steering {
				t.Errorf("doctor promised %s, and an app has %s", d.Steering, e.Steering)
			}
			if d.Steering != who.kind {
				t.Logf("steering is %s here, on most machines %s: %s", d.Steering, who.kind, stdout.Bytes())
			}
			m.stop()
		})
	}
}
