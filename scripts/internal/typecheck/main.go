// Command typecheck says whether the packages named compile on other systems:
//
//	typecheck darwin/arm64,linux/arm64 ./...
//
// It reads everything from source, tests too, and compiles nothing: of what is imported
// from elsewhere only the declarations count. A build for another system would compile
// every dependency once more.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/tools/go/packages"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: typecheck system/processor,... packages")
		os.Exit(2)
	}
	here, err := os.Getwd()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot name this folder:", err)
		os.Exit(1)
	}
	code := 0
	for system := range strings.SplitSeq(os.Args[1], ",") {
		errs, err := check(here, system, os.Args[2:]...)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		for _, e := range errs {
			fmt.Fprintf(os.Stderr, "%s: %v\n", system, e)
			code = 1
		}
	}
	os.Exit(code)
}

// check gives the errors that a compiler for system ("darwin/arm64") would find in the
// packages that patterns name, seen from the folder here. The error is non-nil where
// the packages cannot be read at all.
func check(here, system string, patterns ...string) ([]packages.Error, error) {
	goos, goarch, ok := strings.Cut(system, "/")
	if !ok {
		return nil, fmt.Errorf("cannot check for %q: want system/processor", system)
	}
	pkgs, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports |
			packages.NeedDeps | packages.NeedTypes | packages.NeedTypesSizes | packages.NeedModule,
		Dir:   here,
		Env:   append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0"),
		Tests: true,
		ParseFile: func(set *token.FileSet, name string, src []byte) (*ast.File, error) {
			file, err := parser.ParseFile(set, name, src, parser.SkipObjectResolution)
			if file != nil && !strings.HasPrefix(name, here+string(filepath.Separator)) {
				dropBodies(file)
			}
			return file, err
		},
	}, patterns...)
	if err != nil {
		return nil, fmt.Errorf("cannot read the packages for %s: %w", system, err)
	}
	if len(pkgs) == 0 {
		return nil, fmt.Errorf("cannot check for %s: no package matches %q", system, patterns)
	}
	var errs []packages.Error
	for _, p := range pkgs {
		if strings.HasSuffix(p.ID, ".test") {
			continue // the generated main of a test: not ours
		}
		errs = append(errs, p.Errors...)
	}
	return errs, nil
}

// dropBodies leaves the declarations of a file. What is then wrong with its package,
// imports without a use, is not asked for: only the packages named are.
func dropBodies(file *ast.File) {
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			f.Body = nil
		}
	}
}
