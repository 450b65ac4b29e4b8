package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// The files of scripts/packaging must hold together: times that bound each other, ports,
// variables that are flags. Its Dockerfile is run by TestContainerOfTheDockerfile.

func packaging(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../scripts/packaging", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestPackagingVariables: each TINE_ variable in the files is a flag of tine run, and takes
// that value.
func TestPackagingVariables(t *testing.T) {
	found := 0
	for _, name := range []string{"Dockerfile", "kubernetes.yaml", "tine.service"} {
		for _, m := range regexp.MustCompile(`(TINE_[A-Z_]+)(?:=|, value: )([^\s}]+)`).FindAllStringSubmatch(packaging(t, name), -1) {
			found++
			flags := newRun().Flags()
			flag := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(m[1], "TINE_"), "_", "-"))
			if err := flags.Set(flag, m[2]); err != nil {
				t.Errorf("%s: %s: %v", name, m[0], err)
			}
		}
	}
	if found < 6 {
		t.Errorf("%d variables only", found)
	}
}

// TestPackagingKubernetes holds what the restricted profile of the Pod Security Standards
// asks for, and that Tine ends before the kubelet ends it.
func TestPackagingKubernetes(t *testing.T) {
	type probe struct {
		HTTPGet          struct{ Path, Port string } `yaml:"httpGet"`
		TimeoutSeconds   int                         `yaml:"timeoutSeconds"`
		PeriodSeconds    int                         `yaml:"periodSeconds"`
		FailureThreshold int                         `yaml:"failureThreshold"`
	}
	type document struct {
		Kind string
		Spec struct {
			Selector any
			Template struct {
				Spec struct {
					Grace    int `yaml:"terminationGracePeriodSeconds"`
					Security struct {
						NonRoot bool                  `yaml:"runAsNonRoot"`
						User    int                   `yaml:"runAsUser"`
						Seccomp struct{ Type string } `yaml:"seccompProfile"`
					} `yaml:"securityContext"`
					Containers []struct {
						Env   []struct{ Name, Value string }
						Ports []struct {
							Name string
							Port int `yaml:"containerPort"`
						}
						Resources struct{ Limits struct{ CPU, Memory string } }
						Liveness  probe          `yaml:"livenessProbe"`
						Readiness probe          `yaml:"readinessProbe"`
						Lifecycle map[string]any // no preStop is needed
						Security  struct {
							Escalation   *bool                   `yaml:"allowPrivilegeEscalation"`
							ReadOnly     bool                    `yaml:"readOnlyRootFilesystem"`
							Capabilities struct{ Drop []string } `yaml:"capabilities"`
						} `yaml:"securityContext"`
					}
				}
			}
		}
	}
	var kinds []string
	all := yaml.NewDecoder(strings.NewReader(packaging(t, "kubernetes.yaml")))
	for {
		var d document
		if err := all.Decode(&d); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, d.Kind)
		if d.Kind != "Deployment" {
			continue
		}
		pod := d.Spec.Template.Spec
		if len(pod.Containers) != 1 {
			t.Fatalf("%d containers", len(pod.Containers))
		}
		c := pod.Containers[0]
		times := map[string]time.Duration{}
		for _, e := range c.Env {
			if v, err := time.ParseDuration(e.Value); err == nil {
				times[e.Name] = v
			}
		}
		delay, stop, grace := times["TINE_STOP_DELAY"], times["TINE_STOP_TIMEOUT"], time.Duration(pod.Grace)*time.Second
		if stop == 0 || stop > grace-time.Second || stop < grace-5*time.Second {
			t.Errorf("a stop takes %s, and the kubelet kills after %s", stop, grace)
		}
		noticed := time.Duration(c.Readiness.PeriodSeconds*c.Readiness.FailureThreshold) * time.Second
		if delay <= noticed || delay > stop/4 {
			t.Errorf("a delay of %s, %s after which a probe may have noticed, and %s for all", delay, noticed, stop)
		}
		if c.Lifecycle != nil || c.Liveness.HTTPGet.Path != "/healthz" || c.Readiness.HTTPGet.Path != "/readyz" {
			t.Errorf("%+v", c)
		}
		ports := map[string]int{}
		for _, p := range c.Ports {
			ports[p.Name] = p.Port
		}
		docker := packaging(t, "Dockerfile")
		if !strings.Contains(docker, "ENV TINE_LISTEN=:7000 TINE_HEALTH=:8086\n") || ports["http"] != 7000 || ports["health"] != 8086 {
			t.Errorf("the ports %v are not the image's", ports)
		}
		if c.Liveness.HTTPGet.Port != "health" || c.Readiness.HTTPGet.Port != "health" {
			t.Errorf("the probes ask %s and %s", c.Liveness.HTTPGet.Port, c.Readiness.HTTPGet.Port)
		}
		s := c.Security
		if !pod.Security.NonRoot || pod.Security.User != 65532 || pod.Security.Seccomp.Type != "RuntimeDefault" ||
			s.Escalation == nil || *s.Escalation || !s.ReadOnly || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" {
			t.Errorf("not restricted: %+v %+v", pod.Security, s)
		}
		if c.Resources.Limits.CPU == "" || c.Resources.Limits.Memory == "" {
			t.Error("no limits: Tine would take the whole node for its own")
		}
	}
	if strings.Join(kinds, " ") != "Deployment Service" {
		t.Errorf("%v", kinds)
	}
}

// TestPackagingUnit: systemd understands all of it, and Tine ends before systemd ends it.
func TestPackagingUnit(t *testing.T) {
	text := packaging(t, "tine.service")
	value := func(key string) (last string) {
		for line := range strings.Lines(text) {
			if v, ok := strings.CutPrefix(line, key+"="); ok {
				last = strings.TrimSpace(v)
			}
		}
		return last
	}
	for key, want := range map[string]string{"Type": "notify", "NotifyAccess": "all", "KillMode": "process", "Restart": "on-failure", "OOMPolicy": "continue"} {
		if got := value(key); got != want {
			t.Errorf("%s=%s, want %s", key, got, want)
		}
	}
	kill, err := time.ParseDuration(value("TimeoutStopSec"))
	if err != nil {
		t.Fatal(err)
	}
	_, limit, _ := strings.Cut(value("Environment"), "TINE_STOP_TIMEOUT=")
	if stop, err := time.ParseDuration(limit); err != nil || stop >= kill {
		t.Errorf("a stop takes %s (%v), and systemd kills after %s", limit, err, kill)
	}
	for _, part := range []string{startupRestarts, startupSupervision} {
		if part == "" || !strings.Contains(text, "\n"+part+"\n") {
			t.Errorf("this part of tine startup's unit is not in it as it is:\n%s", part)
		}
	}
	verify(t, strings.ReplaceAll(text, "/usr/local/bin/tine", "/bin/sh")) // it looks whether the program is there
}

// TestStartupUnit: systemd understands that of tine startup, for the system and for a user.
func TestStartupUnit(t *testing.T) {
	for _, user := range []bool{false, true} {
		u := unit{name: "50% off", dir: "/srv/50% off", args: []string{"/bin/sh", "a b", "$HOME", "100%", ""}, path: "/bin:/opt/a b", user: user}
		text := u.text()
		for _, want := range []string{"Description=50%% off, run by tine\n", "WorkingDirectory=/srv/50%% off\n",
			`ExecStart=/bin/sh "a b" $$HOME 100%% ""` + "\n", `Environment="PATH=/bin:/opt/a b"` + "\n", "Type=notify\n"} {
			if !strings.Contains(text, "\n"+want) {
				t.Errorf("no %q in:\n%s", want, text)
			}
		}
		verify(t, text)
	}
}

// verify has systemd check a unit: it must find nothing. It looks at this unit alone: those of the machine, which
// it would load too, may be faulty, so that the targets which it names are empty ones.
func verify(t *testing.T, text string) {
	t.Helper()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("SKIPPED: the systemd unit as systemd sees it: no systemd-analyze (Debian: apt-get install systemd)")
	}
	dir := t.TempDir()
	for _, target := range []string{"sysinit", "basic", "shutdown", "network-online"} {
		if err := os.WriteFile(filepath.Join(dir, target+".target"), []byte("[Unit]\nDefaultDependencies=no\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "tine.service")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	verify := exec.Command(analyze, "verify", "--man=no", file)
	verify.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir)
	if said, err := verify.CombinedOutput(); err != nil || len(said) > 0 {
		t.Errorf("systemd-analyze verify: %v: %s", err, said)
	}
}
