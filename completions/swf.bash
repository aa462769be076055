# Completion of swf in bash.

_swf() {
    local kind value
    COMPREPLY=()
    while IFS=$'\t' read -r kind value; do
        if [[ $kind == path ]]; then
            compopt -o default 2> /dev/null
        else
            COMPREPLY+=("$value")
        fi
    done < <(_SWF_COMPLETE=bash swf "$COMP_WORDBREAKS" "${COMP_LINE:0:COMP_POINT}" 2> /dev/null)
}

complete -o nosort -F _swf swf 2> /dev/null || complete -F _swf swf
