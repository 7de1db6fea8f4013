// Included files that are not there.
#include "folder/outer.p4"
#include "folder/outre.p4"
#include <v1modle.p4>
