console.log("mecha");
