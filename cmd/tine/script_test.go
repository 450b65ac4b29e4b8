package main

import (
	"encoding/json"
	"errors"
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tinehq/tine/cmd/tine/internal/term"
)

// TestCommandLine runs the scripts in testdata/script. Beside testscript's own
// commands they have
//
//	usage tine ARG...    which must end with status 2, as ! tine must with any but 0
//	json FILE KEY...     FILE must be one JSON object that has the keys
func TestCommandLine(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"usage": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) == 0 {
					ts.Fatalf("usage: usage COMMAND ARG...")
				}
				var exit *exec.ExitError
				if err := ts.Exec(args[0], args[1:]...); !errors.As(err, &exit) || exit.ExitCode() != term.ExitUsage {
					ts.Fatalf("want exit status %d, got %v", term.ExitUsage, err)
				}
			},
			"json": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) == 0 {
					ts.Fatalf("usage: json FILE KEY...")
				}
				var object map[string]any
				if err := json.Unmarshal([]byte(ts.ReadFile(args[0])), &object); err != nil {
					ts.Fatalf("%s is not one JSON object: %v", args[0], err)
				}
				for _, key := range args[1:] {
					if _, ok := object[key]; !ok {
						ts.Fatalf("%s has no %q", args[0], key)
					}
				}
			},
		},
	})
}
