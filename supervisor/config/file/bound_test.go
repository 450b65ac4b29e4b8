package file

import (
	"strings"
	"testing"
	"time"
)

// TestConfigThatTakesLong: what would keep the YAML reader busy for minutes is refused with one line.
func TestConfigThatTakesLong(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"lists":          {strings.Repeat("[", 100_000), "tine.yaml:1:101: has more than 100 lists and sections within each other"},
		"sections":       {strings.Repeat("{a: ", 1<<18), "tine.yaml:1:401: has more than 100 lists and sections within each other"},
		"dashes":         {strings.Repeat("- ", 1<<18), "tine.yaml:1:201: has more than 100 lists and sections within each other"},
		"behind quotes":  {`a: "` + strings.Repeat("[", 1000) + `" # ` + strings.Repeat("[", 1000) + "\nb: " + strings.Repeat("[", 1000), "tine.yaml:2:104: has more than 100"},
		"keys":           {strings.Repeat("a: b\n", 200_000), "tine.yaml: is too long: the files have more than 60000 words and signs in all"},
		"lines":          {"a: |\n  x\n" + strings.Repeat("\n", 1<<20), "tine.yaml:53:1: has more than 50 empty lines in a row"},
		"old lines":      {"a: |\r  x\r" + strings.Repeat("\r", 1<<20), "tine.yaml:53:1: has more than 50 empty lines in a row"},
		"lines of space": {"a: |\n  x\n" + strings.Repeat(" \n", 1<<20), "tine.yaml:53:1: has more than 50 empty lines in a row"},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := parseConfig("tine.yaml", "/", []byte(c.text))
			if err == nil {
				t.Fatal("no error")
			}
			if got, _, _ := strings.Cut(err.Error(), "\n"); !strings.HasPrefix(got, c.want) {
				t.Errorf("%s", got)
			}
			// It takes a second at most; without the bound, minutes.
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// TestConfigThatOnlyLooksLong: brackets in text, a thousand lists beside each other and block text are what they are.
func TestConfigThatOnlyLooksLong(t *testing.T) {
	brackets := strings.Repeat("[", 200)
	text := "x-a: [" + strings.Repeat("[], {}, ", 1000) + "]\n# " + brackets + "\nx-b:\n" + strings.Repeat("- - []\n", 500) +
		"apps:\n  web:\n    command: [/bin/echo, '" + brackets + "']\n    env:\n      A: |\n        " + brackets +
		"\n" + strings.Repeat("\n", maxGap-1) + "        x\n      B: \"" + brackets + "\"\n"
	c, err := parseConfig("tine.yaml", "/", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if env := c.Apps[0].Env; env["A"] != brackets+strings.Repeat("\n", maxGap)+"x\n" || env["B"] != brackets {
		t.Errorf("%q", env)
	}
}
