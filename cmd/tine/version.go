package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/cmd/tine/internal/term"
)

// version is set by the Makefile (-ldflags -X). A build without it has the version of the module.
var version = ""

func newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			system := runtime.GOOS + "/" + runtime.GOARCH
			document := map[string]string{"version": versionText(), "go": runtime.Version(), "system": system}
			return answer(cmd, asJSON, document, func(s term.Screen) { fmt.Fprintf(s, "tine %s %s %s\n", versionText(), runtime.Version(), system) })
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "devel"
}
