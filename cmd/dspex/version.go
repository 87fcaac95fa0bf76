package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version may be set by the linker: -ldflags "-X main.version=1.2.3". Else it is
// what Go knows about the build.
var version string

type versionView struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

func newVersion(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long:  "Print the version of this program, and what it was built from.",
		Example: `  dspex version
  dspex version --json`,
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			v := viewVersion()
			return c.show(v, func(w io.Writer) {
				built := v.Go + " " + v.OS + "/" + v.Arch
				if v.Revision != "" {
					built = v.Revision[:min(12, len(v.Revision))] + ", " + built
				}
				fmt.Fprintf(w, "dspex %s (%s)\n", v.Version, built)
			})
		},
	}
	c.addOutput(cmd)
	return cmd
}

func viewVersion() versionView {
	v := versionView{Version: version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Revision = s.Value
			case "vcs.modified":
				v.Modified = s.Value == "true"
			}
		}
		if main := info.Main.Version; v.Version == "" && main != "" && main != "(devel)" {
			v.Version = main
		}
	}
	if v.Version == "" {
		v.Version = "dev"
	}
	return v
}
