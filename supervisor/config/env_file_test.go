package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestReadEnvFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".env")
	text := "\ufeff# comment\n\n  # another\nA=1\nexport B=two words  # comment\nC='as $it # is'\nD=\"a\\tb\\n\\\"c\\\" \\$x \\x\" # end\nE=\nF=#none\n" +
		"COLOUR=red#ff0000\n  INDENTED = no\r\nEQ=a=b\nexported=1\nexport=2\nA=3\nPEM=\"-----BEGIN\r\n a\\tb # \\\"\r\n\r\n-----END\" # end\nRAW='x\n\\n\ny'\nLAST=x"
	if err := os.WriteFile(path, []byte(strings.Replace(text, "INDENTED =", "INDENTED=", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadEnvFile(path)
	want := []string{
		"A=1", "B=two words", "C=as $it # is", "D=a\tb\n\"c\" $x \\x", "E=", "F=", "COLOUR=red#ff0000", "INDENTED=no", "EQ=a=b",
		"exported=1", "export=2", "A=3", "PEM=-----BEGIN\n a\tb # \"\n\n-----END", "RAW=x\n\\n\ny", "LAST=x",
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestReadEnvFileNamesEveryBadLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(path, []byte("A=1\nB\n  export C D=2\n=3\nE='open\nF=\"open\\\"\nG='a' b\nTINE_X=1\nH =1\nI=\"open\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := ReadEnvFile(path)
	var all *Problems
	if !errors.As(err, &all) {
		t.Fatalf("got %v", err)
	}
	want := `:2:1: no KEY=VALUE: an = is missing
   2 | B
     | ^
:3:10: "C D" is not the name of a variable
   3 |   export C D=2
     |          ^
:4:1: a variable without a name
   4 | =3
     | ^
:5:3: more text after the quote that closes this one 2 lines on: close it where the value ends
   5 | E='open
     |   ^
:8:1: TINE_X is reserved: names that begin with TINE_ belong to the master
   8 | TINE_X=1
     | ^
:9:1: "H " is not the name of a variable
   9 | H =1
     | ^
:10:3: the quote " is never closed
  10 | I="open
     |   ^`
	if got := strings.ReplaceAll(err.Error(), path, ""); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if _, err := ReadEnvFile(path + ".not"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func FuzzEnvFile(f *testing.F) {
	f.Add("A=1\nexport B='x'\nC=\"\\n\"")
	f.Add("=\x00\n'\n")
	f.Fuzz(func(t *testing.T, text string) {
		env, err := ParseEnv("f", text)
		if err != nil {
			_ = err.Error()
		}
		for _, kv := range env {
			if name, _, ok := strings.Cut(kv, "="); !ok || checkEnvName(name) != nil || strings.ContainsRune(kv, 0) {
				t.Errorf("read %q", kv)
			}
		}
	})
}
