package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tinehq/tine/"

// rules has the packages of the module that each package may import, on any system. What a package depends on beyond
// that follows. A package that is not listed fails the test, so that a new one is given its place first. Imports of tests
// do not count, and programs in scripts are free.
var rules = map[string]string{
	"ipc":                          "",
	"ipc/eventually":               "", // for tests only: no package may import it
	"worker":                       "ipc",
	"supervisor/pool":              "",
	"supervisor/civil":             "",
	"supervisor/host":              "",
	"supervisor/config":            "ipc supervisor/civil supervisor/control/api supervisor/host supervisor/listen supervisor/proc",
	"supervisor/config/file":       "supervisor/config supervisor/host",
	"supervisor/filewatch":         "supervisor/config",
	"supervisor/book":              "supervisor/control supervisor/control/api",
	"supervisor/logs":              "ipc supervisor/book supervisor/config supervisor/control supervisor/control/api",
	"supervisor/launch":            "ipc supervisor/config supervisor/host supervisor/proc",
	"supervisor/apps":              "supervisor/civil supervisor/pool",
	"supervisor/orders":            "supervisor/apps supervisor/control/api supervisor/pool",
	"supervisor/proc":              "ipc supervisor/proc/output",
	"supervisor/proc/output":       "ipc",
	"supervisor/listen":            "ipc supervisor/listen/bpf",
	"supervisor/listen/bpf":        "ipc",
	"supervisor/cache":             "ipc",
	"supervisor/keeper":            "",
	"supervisor/record":            "",
	"supervisor/claim":             "",
	"supervisor/script":            "", // for tests only: no package may import it
	"supervisor/handover":          "",
	"supervisor/control/api":       "",
	"supervisor/control":           "ipc supervisor/claim supervisor/control/api",
	"supervisor/control/dashboard": "supervisor/control supervisor/control/api",
	"supervisor/control/metrics":   "ipc supervisor/control supervisor/control/api",
	"supervisor": `supervisor/launch supervisor/filewatch supervisor/book supervisor/logs supervisor/apps supervisor/config supervisor/config/file supervisor/host supervisor/orders ipc supervisor/cache supervisor/civil supervisor/claim supervisor/control supervisor/control/api
		supervisor/control/dashboard supervisor/control/metrics supervisor/keeper supervisor/listen supervisor/pool
		supervisor/proc supervisor/proc/output supervisor/record`,
	"cmd/demo": "worker",
	"cmd/tine": `supervisor/logs cmd/tine/internal/pm2 cmd/tine/internal/target cmd/tine/internal/term cmd/tine/internal/top ipc
		supervisor supervisor/config supervisor/config/file supervisor/host supervisor/claim supervisor/control supervisor/control/metrics supervisor/handover supervisor/keeper
		supervisor/listen`,
	"cmd/tine/internal/term":   "supervisor/control",
	"cmd/tine/internal/target": "cmd/tine/internal/term supervisor/claim supervisor/control",
	"cmd/tine/internal/top":    "cmd/tine/internal/term supervisor/control",
	"cmd/tine/internal/pm2":    "supervisor supervisor/config supervisor/config/file supervisor/host",
}

// forbidden has the packages of the standard library that a package must not import.
var forbidden = map[string][]string{
	"supervisor/apps":   {"os", "net", "sync", "context", "os/exec", "syscall", "log"},
	"supervisor/pool":   {"os", "net", "sync", "context", "os/exec", "syscall", "log"},
	"supervisor/civil":  {"os", "net", "sync", "context", "os/exec", "syscall", "log"},
	"supervisor/orders": {"os", "net", "sync", "context", "os/exec", "syscall", "log"},
}

func list(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cannot list packages: %v", err)
	}
	return strings.Fields(string(out))
}

func TestHouseImports(t *testing.T) {
	for _, line := range list(t, "-f", "{{.ImportPath}},{{join .Imports \",\"}}", "./...") {
		all := strings.Split(line, ",")
		name := strings.TrimPrefix(all[0], module)
		if strings.HasPrefix(name, "scripts/") {
			continue
		}
		allowed, ok := rules[name]
		if !ok {
			t.Errorf("package %s has no rule here", name)
			continue
		}
		for _, path := range all[1:] {
			if dep, ours := strings.CutPrefix(path, module); ours && !slices.Contains(strings.Fields(allowed), dep) {
				t.Errorf("%s must not import %s", name, dep)
			}
			if slices.Contains(forbidden[name], path) {
				t.Errorf("%s must not import %s", name, path)
			}
		}
	}
}

// TestHouseSmallDeps: a worker brings in no library but the kernel's and HTTP/2, both of the Go project. The keeper, which
// outlives what goes wrong with all others, brings in the kernel's alone.
func TestHouseSmallDeps(t *testing.T) {
	kernel := []string{"golang.org/x/sys/"}
	for name, may := range map[string][]string{
		"ipc": kernel, "supervisor/keeper": kernel, "supervisor/claim": kernel,
		"worker": {"golang.org/x/sys/", "golang.org/x/net/", "golang.org/x/text/"},
	} {
		for _, dep := range list(t, "-deps", "./"+name) {
			if strings.Contains(strings.Split(dep, "/")[0], ".") && !strings.HasPrefix(dep, module) &&
				!slices.ContainsFunc(may, func(prefix string) bool { return strings.HasPrefix(dep, prefix) }) {
				t.Errorf("%s depends on %s", name, dep)
			}
		}
	}
}
