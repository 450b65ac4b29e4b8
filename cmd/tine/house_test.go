package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tinehq/tine/"

// rules says which packages of the module each package may depend on, directly or
// not. A package that is not listed here fails the test, so that a new one is given
// its place in the house before it is used.
var rules = map[string][]string{
	"ipc":                          {},
	"worker":                       {"ipc"},
	"supervisor/pool":              {},
	"supervisor/civil":             {},
	"supervisor/proc":              {"ipc", "supervisor/proc/output"},
	"supervisor/proc/output":       {"ipc"},
	"supervisor/listen":            {"ipc", "supervisor/listen/bpf"},
	"supervisor/listen/bpf":        {"ipc"},
	"supervisor/cache":             {"ipc"},
	"supervisor/keeper":            {},
	"supervisor/record":            {},
	"supervisor/claim":             {},
	"supervisor/handover":          {},
	"supervisor/control/api":       {},
	"supervisor/control":           {"ipc", "supervisor/pool", "supervisor/claim", "supervisor/control/api"},
	"supervisor/control/dashboard": {"ipc", "supervisor/pool", "supervisor/control", "supervisor/control/api", "supervisor/claim"},
	"supervisor/control/metrics":   {"ipc", "supervisor/pool", "supervisor/control", "supervisor/control/api", "supervisor/claim"},
	"supervisor":                   {"ipc", "supervisor/pool", "supervisor/civil", "supervisor/proc", "supervisor/proc/output", "supervisor/listen", "supervisor/listen/bpf", "supervisor/cache", "supervisor/control", "supervisor/control/api", "supervisor/control/dashboard", "supervisor/control/metrics", "supervisor/record", "supervisor/keeper", "supervisor/claim"},
	"cmd/tine":                     {"ipc", "supervisor", "supervisor/pool", "supervisor/civil", "supervisor/proc", "supervisor/proc/output", "supervisor/listen", "supervisor/listen/bpf", "supervisor/cache", "supervisor/control", "supervisor/control/api", "supervisor/control/dashboard", "supervisor/control/metrics", "supervisor/record", "supervisor/keeper", "supervisor/claim", "supervisor/handover", "cmd/tine/internal/term", "cmd/tine/internal/target", "cmd/tine/internal/top", "cmd/tine/internal/pm2"},
	"cmd/tine/internal/term":       {"ipc", "supervisor/pool", "supervisor/claim", "supervisor/control", "supervisor/control/api"},
	"cmd/tine/internal/target":     {"ipc", "supervisor/pool", "supervisor/claim", "supervisor/control", "supervisor/control/api", "cmd/tine/internal/term"},
	"cmd/tine/internal/top":        {"ipc", "supervisor/pool", "supervisor/claim", "supervisor/control", "supervisor/control/api", "cmd/tine/internal/term"},
	"cmd/tine/internal/pm2":        {"ipc", "supervisor", "supervisor/pool", "supervisor/civil", "supervisor/proc", "supervisor/proc/output", "supervisor/listen", "supervisor/listen/bpf", "supervisor/cache", "supervisor/control", "supervisor/control/api", "supervisor/control/dashboard", "supervisor/control/metrics", "supervisor/record", "supervisor/keeper", "supervisor/claim"},
	"cmd/demo":                     {"ipc", "worker"},
}

// forbidden names what a package must not be able to reach in the standard library.
var forbidden = map[string][]string{
	"supervisor/pool":  {"os", "net", "sync", "context", "os/exec", "syscall", "log"},
	"supervisor/civil": {"os", "net", "sync", "context", "os/exec", "syscall", "log"},
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

func TestImportRules(t *testing.T) {
	for _, path := range list(t, "./...") {
		name := strings.TrimPrefix(path, module)
		if strings.HasPrefix(name, "scripts/") {
			continue
		}
		allowed, ok := rules[name]
		if !ok {
			t.Errorf("package %s has no rule here", name)
			continue
		}
		for _, dep := range list(t, "-deps", "./"+name) {
			own, ours := strings.CutPrefix(dep, module)
			if ours && own != name && !slices.Contains(allowed, own) {
				t.Errorf("%s must not depend on %s", name, own)
			}
		}
		for _, dep := range list(t, "-f", "{{join .Imports \"\\n\"}}", "./"+name) {
			if slices.Contains(forbidden[name], dep) {
				t.Errorf("%s must not import %s", name, dep)
			}
		}
	}
}

// TestIPCIsSmall: a worker brings in no library but the kernel's and HTTP/2, both of the Go project. The keeper, which
// outlives what goes wrong with all others, brings in the kernel's alone.
func TestIPCIsSmall(t *testing.T) {
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
