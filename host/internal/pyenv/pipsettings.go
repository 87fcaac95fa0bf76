package pyenv

import (
	"os"
	"path/filepath"
	"strings"
)

// pipSettings are the settings of pip that say how to reach an index, from its
// files and variables, by the names that they have in the files. uv does not read
// them.
func (o *Options) pipSettings() map[string][]string {
	settings := make(map[string][]string)
	for _, path := range o.pipFiles() {
		if raw, err := os.ReadFile(path); err == nil {
			readPipFile(string(raw), settings)
		}
	}
	for _, s := range pipToUV {
		if value := o.getenv("PIP_" + strings.ToUpper(strings.ReplaceAll(s.pip, "-", "_"))); value != "" {
			settings[s.pip] = strings.Fields(value)
		}
	}
	if on := settings["no-index"]; len(on) > 0 && !isTrue(on[0]) {
		delete(settings, "no-index")
	}
	return settings
}

// pipFiles are where pip's settings are, the strongest last.
func (o *Options) pipFiles() []string {
	chosen := o.getenv("PIP_CONFIG_FILE")
	if chosen == os.DevNull {
		return nil
	}
	paths := []string{"/etc/xdg/pip/pip.conf", "/etc/pip.conf"}
	if home := o.getenv("HOME"); home != "" {
		paths = append(paths, filepath.Join(home, ".pip", "pip.conf"))
		config := o.getenv("XDG_CONFIG_HOME")
		if config == "" {
			config = filepath.Join(home, ".config")
		}
		paths = append(paths, filepath.Join(config, "pip", "pip.conf"), filepath.Join(home, "Library", "Application Support", "pip", "pip.conf"))
	}
	if chosen != "" {
		paths = append(paths, chosen)
	}
	return paths
}

// readPipFile reads the sections of a pip.conf that are about installing. A value
// goes on in the lines below it that are indented.
func readPipFile(text string, settings map[string][]string) {
	section, key := "", ""
	for _, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || trimmed[0] == '#' || trimmed[0] == ';':
			continue
		case trimmed[0] == '[':
			section, key = strings.Trim(trimmed, "[]"), ""
			continue
		case section != "global" && section != "install":
			continue
		case line[0] == ' ' || line[0] == '\t':
			if key != "" {
				settings[key] = append(settings[key], strings.Fields(trimmed)...)
			}
			continue
		}
		name, value, ok := strings.Cut(trimmed, "=")
		if !ok {
			name, value, _ = strings.Cut(trimmed, ":")
		}
		key = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(name)), "_", "-")
		settings[key] = strings.Fields(value)
	}
}

func isTrue(value string) bool {
	switch strings.ToLower(value) {
	case "1", "true", "yes", "on":
		return true
	}
	return false
}
