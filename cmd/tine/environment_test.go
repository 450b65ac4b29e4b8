package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func testFlags(t *testing.T) (*runFlags, *pflag.FlagSet) {
	t.Helper()
	var f runFlags
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.define(flags)
	return &f, flags
}

func TestEnvironmentIsReadStrictly(t *testing.T) {
	for env, want := range map[string]string{
		"TINE_WORKERS=4":                          "",
		"TINE_WORKERS=010":                        `TINE_WORKERS="010" in the environment`,
		"TINE_WORKERS=0x10":                       "the digits 0 to 9 alone",
		"TINE_WORKERS=1_0":                        "the digits 0 to 9 alone",
		"TINE_WORKERS=99999999999999999999":       "too large",
		"TINE_DRAIN_TIMEOUT=30":                   `"30" is not a duration: write 30s, 1m30s or 500ms`,
		"TINE_CONFIG=tine.yaml TINE_WORKERS=abc":  `TINE_WORKERS="abc" in the environment`,
		"TINE_CONFIG=tine.yaml TINE_WORKERS=4":    "",
		"TINE_CONFIG=tine.yaml TINE_MAX_RSS=much": `TINE_MAX_RSS="much" in the environment`,
	} {
		f, flags := testFlags(t)
		err := fromEnvironment(flags, func(name string) (string, bool) {
			for e := range strings.FieldsSeq(env) {
				if value, ok := strings.CutPrefix(e, name+"="); ok {
					return value, true
				}
			}
			return "", false
		})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", env, err)
		}
		if want == "" && (f.workers != 4) != (f.config != "") {
			t.Errorf("%s: %d workers", env, f.workers)
		}
	}
}

func TestUselessVariables(t *testing.T) {
	environ := []string{
		"PATH=/bin", "TINE_WORKERS=4", "TINE_WORKER=4", "TINE_DRAINTIMEOUT=1s", "TINE_ZZZ=1", "TINE_EMPTY=", "TINE_KEEPER_PID=1",
		"TINE_CHANNEL_FD=3", "TINE_LOG_LEVEL=debug", "TINE_RUNTIME_DIR=/x",
	}
	_, flags := testFlags(t)
	want := []string{
		"TINE_DRAINTIMEOUT in the environment is not a variable of tine: did you mean TINE_DRAIN_TIMEOUT?",
		"TINE_WORKER in the environment is not a variable of tine: did you mean TINE_WORKERS?",
		"TINE_ZZZ in the environment is not a variable of tine",
	}
	if got := uselessVariables(flags, environ); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if err := flags.Set("config", "tine.yaml"); err != nil {
		t.Fatal(err)
	}
	// In a hook, or a worker, the others are its own.
	got := uselessVariables(flags, append(environ, "TINE_APP=web"))
	want = []string{
		want[0], "TINE_WORKERS in the environment does nothing beside a config file: write it in tine.yaml", want[2],
	}
	if !slices.Equal(got, want) {
		t.Errorf("beside a config: got %q", got)
	}
}
