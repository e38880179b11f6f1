# Prints `make help` from the Makefile: "##@ heading", "target: ... ## text", and "#: text" above "VARIABLE ?= value".
/^##@ / { heading = substr($0, 5); next }
/^#: / { text = substr($0, 4); next }
/^[a-z-]+:.* ## / {
    target = $0; sub(/:.*/, "", target)
    line = $0; sub(/.* ## /, "", line)
    targets = targets introduce(1) sprintf("  %-16s %s\n", target, line)
    next
}
/^[A-Z_]+ \?=/ && text != "" {
    value = $0; sub(/^[A-Z_]+ \?= ?/, "", value)
    if (value ~ /^\$\([a-z_]+\)$/) value = ""  # worked out: the text says how
    variables = variables introduce(2) sprintf("  %-14s %s%s\n", $1, text, value == "" ? "" : "  [" value "]")
    text = ""
}
END {
    print "Use: make TARGET [VARIABLE=value ...]"
    printf "%s", targets
    print "\nVariables, with their defaults in brackets"
    printf "%s", variables
}
function introduce(kind) {
    if (heading == "") return ""
    title = heading; heading = ""
    return (kind == 1 ? "\n" : "") title (kind == 1 ? "\n" : ":\n")
}
